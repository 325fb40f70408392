//! What is sent.

use super::turns;
use crate::{
    document::put,
    fraction,
    upstream::{Call, Sent},
};
use og_types::{
    Refusal,
    language::{Format, ONE, Prompt, Question, ToolChoice},
};
use serde_json::{Value, json};

/// The request for a question.
pub(in crate::upstream) fn request(call: &Call<'_>) -> Result<Sent, Refusal> {
    let question = call.question;
    let Prompt::Messages(messages) = &question.prompt else {
        let reason = "cannot go to this model's service: send a conversation";
        return Err(Refusal::of("prompt", reason));
    };
    refuse(question)?;
    let (system, contents) = turns::turns(messages)?;
    let mut body = json!({"contents": contents});
    if let Some(system) = system {
        put(&mut body, "systemInstruction", system);
    }
    put(&mut body, "generationConfig", config(call));
    tools(question, &mut body);
    let method = match call.stream {
        true => "streamGenerateContent?alt=sse",
        false => "generateContent",
    };
    Ok(Sent {
        path: format!("models/{}:{method}", call.model),
        body,
    })
}

/// What this service has no word for.
fn refuse(question: &Question) -> Result<(), Refusal> {
    if question.repetition_penalty != ONE {
        let reason = "is nothing that this model's service knows: send 'frequency_penalty'";
        return Err(Refusal::of("repetition_penalty", reason));
    }
    if !question.tools.is_empty() && !question.parallel_tool_calls {
        let reason = "is always true for this model's service: leave it out";
        return Err(Refusal::of("parallel_tool_calls", reason));
    }
    Ok(())
}

/// The settings. What the service does when nothing is said depends on the model, so that temperature and `topP` are always said.
fn config(call: &Call<'_>) -> Value {
    let question = call.question;
    let mut config = json!({
        "temperature": fraction::write(question.temperature),
        "topP": fraction::write(question.top_p),
    });
    if question.top_k != 0 {
        put(&mut config, "topK", question.top_k);
    }
    if let Some(most) = question.max_tokens {
        put(&mut config, "maxOutputTokens", most);
    }
    for (name, penalty) in [
        ("frequencyPenalty", question.frequency_penalty),
        ("presencePenalty", question.presence_penalty),
    ] {
        if penalty != 0 {
            put(&mut config, name, fraction::write(penalty));
        }
    }
    if !question.stop.is_empty() {
        put(&mut config, "stopSequences", question.stop.clone());
    }
    if let Some(seed) = call.seed {
        // It is read as a signed number of 32 bits.
        put(&mut config, "seed", seed & 0x7fff_ffff);
    }
    if let Some(top) = question.logprobs {
        put(&mut config, "responseLogprobs", true);
        if top > 0 {
            put(&mut config, "logprobs", top);
        }
    }
    if question.format != Format::Text {
        put(&mut config, "responseMimeType", "application/json");
    }
    if let Format::JsonSchema(schema) = &question.format {
        put(&mut config, "responseJsonSchema", schema.clone());
    }
    config
}

fn tools(question: &Question, body: &mut Value) {
    if question.tools.is_empty() {
        return;
    }
    let tools = question.tools.iter().map(|tool| {
        let mut described = json!({"name": tool.name, "parametersJsonSchema": tool.parameters});
        if !tool.description.is_empty() {
            put(&mut described, "description", tool.description.as_str());
        }
        described
    });
    let tools: Vec<_> = tools.collect();
    put(body, "tools", json!([{"functionDeclarations": tools}]));
    let strict = question.tools.iter().any(|tool| tool.strict);
    let calling = match &question.tool_choice {
        ToolChoice::Auto if strict => json!({"mode": "VALIDATED"}),
        ToolChoice::Auto => return,
        ToolChoice::None => json!({"mode": "NONE"}),
        ToolChoice::Required => json!({"mode": "ANY"}),
        ToolChoice::Tool(name) => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
    };
    put(
        body,
        "toolConfig",
        json!({"functionCallingConfig": calling}),
    );
}

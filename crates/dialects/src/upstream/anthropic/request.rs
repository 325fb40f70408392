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
    refuse(call)?;
    let (system, turns) = turns::turns(messages)?;
    let most = question.max_tokens.unwrap_or(call.most_tokens);
    let mut body = json!({"model": call.model, "max_tokens": most});
    if let Some(system) = system {
        put(&mut body, "system", system);
    }
    put(&mut body, "messages", turns);
    if question.temperature != ONE {
        put(
            &mut body,
            "temperature",
            fraction::write(question.temperature),
        );
    }
    if question.top_p != ONE {
        put(&mut body, "top_p", fraction::write(question.top_p));
    }
    if question.top_k != 0 {
        put(&mut body, "top_k", question.top_k);
    }
    if !question.stop.is_empty() {
        put(&mut body, "stop_sequences", question.stop.clone());
    }
    if let Format::JsonSchema(schema) = &question.format {
        let format = json!({"type": "json_schema", "schema": schema});
        put(&mut body, "output_config", json!({"format": format}));
    }
    tools(question, &mut body);
    if call.stream {
        put(&mut body, "stream", true);
    }
    Ok(Sent {
        path: "messages".to_owned(),
        body,
    })
}

/// What this service has no word for.
fn refuse(call: &Call<'_>) -> Result<(), Refusal> {
    let question = call.question;
    for (name, wanted) in [
        ("frequency_penalty", question.frequency_penalty != 0),
        ("logprobs", question.logprobs.is_some()),
        ("presence_penalty", question.presence_penalty != 0),
        ("repetition_penalty", question.repetition_penalty != ONE),
        ("seed", call.seed.is_some()),
    ] {
        if wanted {
            let reason = "is nothing that this model's service knows: leave it out";
            return Err(Refusal::of(name, reason));
        }
    }
    if question.temperature > ONE {
        let reason = "must be at most 1 for this model's service";
        return Err(Refusal::of("temperature", reason));
    }
    if question.format == Format::JsonObject {
        let reason = "must have a schema for this model's service: send json_schema";
        return Err(Refusal::of("format", reason));
    }
    Ok(())
}

fn tools(question: &Question, body: &mut Value) {
    if question.tools.is_empty() {
        return;
    }
    let tools = question.tools.iter().map(|tool| {
        let mut described = json!({"name": tool.name, "input_schema": tool.parameters});
        if !tool.description.is_empty() {
            put(&mut described, "description", tool.description.as_str());
        }
        if tool.strict {
            put(&mut described, "strict", true);
        }
        described
    });
    put(body, "tools", tools.collect::<Vec<_>>());
    let mut choice = match &question.tool_choice {
        ToolChoice::Auto if question.parallel_tool_calls => return,
        ToolChoice::Auto => json!({"type": "auto"}),
        ToolChoice::None => json!({"type": "none"}),
        ToolChoice::Required => json!({"type": "any"}),
        ToolChoice::Tool(name) => json!({"type": "tool", "name": name}),
    };
    if !question.parallel_tool_calls && question.tool_choice != ToolChoice::None {
        put(&mut choice, "disable_parallel_tool_use", true);
    }
    put(body, "tool_choice", choice);
}

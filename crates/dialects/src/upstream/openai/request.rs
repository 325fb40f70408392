//! What is sent.

use super::messages;
use crate::{
    document::put,
    fraction,
    upstream::{Call, Sent, Service},
};
use og_types::{
    Refusal,
    language::{Format, Message, ONE, Prompt, Question},
};
use serde_json::{Value, json};

/// The request for a question.
pub(in crate::upstream) fn request(service: Service, call: &Call<'_>) -> Result<Sent, Refusal> {
    let mut body = json!({"model": call.model});
    let path = match &call.question.prompt {
        Prompt::Messages(turns) => {
            chat(service, call, turns, &mut body)?;
            "chat/completions"
        }
        Prompt::Text(text) => {
            completion(call, text, &mut body)?;
            "completions"
        }
    };
    sampling(service, call.question, &mut body)?;
    if !call.question.stop.is_empty() {
        put(&mut body, "stop", call.question.stop.clone());
    }
    if let Some(seed) = call.seed {
        // Services read it as a signed number.
        put(&mut body, "seed", seed & (u64::MAX >> 1));
    }
    if call.stream {
        put(&mut body, "stream", true);
        put(&mut body, "stream_options", json!({"include_usage": true}));
    }
    Ok(Sent {
        path: path.to_owned(),
        body,
    })
}

fn chat(
    service: Service,
    call: &Call<'_>,
    turns: &[Message],
    body: &mut Value,
) -> Result<(), Refusal> {
    let question = call.question;
    put(body, "messages", messages::messages(turns)?);
    if let Some(most) = question.max_tokens {
        let name = match service {
            Service::OpenAi | Service::Xai => "max_completion_tokens",
            _ => "max_tokens",
        };
        put(body, name, most);
    }
    if let Some(top) = question.logprobs {
        put(body, "logprobs", true);
        if top > 0 {
            put(body, "top_logprobs", top);
        }
    }
    match &question.format {
        Format::Text => {}
        Format::JsonObject => put(body, "response_format", json!({"type": "json_object"})),
        Format::JsonSchema(schema) => {
            // A name is required, and only a strict one is kept to.
            let schema = json!({"name": "answer", "strict": true, "schema": schema});
            let format = json!({"type": "json_schema", "json_schema": schema});
            put(body, "response_format", format);
        }
    }
    if !question.tools.is_empty() {
        let tools: Vec<_> = question.tools.iter().map(messages::tool).collect();
        put(body, "tools", tools);
        if let Some(choice) = messages::choice(&question.tool_choice) {
            put(body, "tool_choice", choice);
        }
        if !question.parallel_tool_calls {
            put(body, "parallel_tool_calls", false);
        }
    }
    Ok(())
}

fn completion(call: &Call<'_>, text: &str, body: &mut Value) -> Result<(), Refusal> {
    let question = call.question;
    if question.format != Format::Text {
        let reason = "needs a conversation: this service's completions are text";
        return Err(Refusal::of("format", reason));
    }
    if !question.tools.is_empty() {
        let reason = "needs a conversation: this service's completions call none";
        return Err(Refusal::of("tools", reason));
    }
    put(body, "prompt", text);
    // It would be 16.
    put(
        body,
        "max_tokens",
        question.max_tokens.unwrap_or(call.most_tokens),
    );
    if let Some(top) = question.logprobs {
        put(body, "logprobs", top);
    }
    Ok(())
}

/// How tokens are chosen. What vLLM and llama-server do when nothing is said depends on the model and their settings.
fn sampling(service: Service, question: &Question, body: &mut Value) -> Result<(), Refusal> {
    let says_all = matches!(service, Service::Vllm | Service::LlamaServer);
    let mut fraction = |name: &str, value: i64, default: i64| {
        if says_all || value != default {
            put(body, name, fraction::write(value));
        }
    };
    fraction("temperature", question.temperature, ONE);
    fraction("top_p", question.top_p, ONE);
    fraction("frequency_penalty", question.frequency_penalty, 0);
    fraction("presence_penalty", question.presence_penalty, 0);
    let repetition = fraction::write(question.repetition_penalty);
    match service {
        Service::Vllm => {
            // It has -1 for all tokens in every version.
            let top_k = if question.top_k == 0 {
                -1
            } else {
                question.top_k
            };
            put(body, "top_k", top_k);
            put(body, "min_p", 0);
            put(body, "repetition_penalty", repetition);
        }
        Service::LlamaServer => {
            put(body, "top_k", question.top_k);
            put(body, "min_p", 0);
            put(body, "repeat_penalty", repetition);
            // Over everything that was there, not the last 64 tokens.
            put(body, "repeat_last_n", -1);
        }
        _ if question.top_k != 0 => {
            let reason = "is nothing that this model's service knows: leave it out";
            return Err(Refusal::of("top_k", reason));
        }
        _ if question.repetition_penalty != ONE => {
            let reason = "is nothing that this model's service knows: send 'frequency_penalty'";
            return Err(Refusal::of("repetition_penalty", reason));
        }
        _ => {}
    }
    Ok(())
}

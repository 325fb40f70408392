//! An answer at once.

use super::{Counts, finish};
use crate::{
    openai::logprobs::Tokens,
    upstream::{AnswerError, Answered, Report, count, failure, model, with_calls},
};
use og_types::language::{Finish, Said, ToolCall};
use serde::Deserialize;
use serde_json::Value;

/// What is read of an answer; services add fields of their own.
#[derive(Deserialize)]
struct Body {
    choices: Vec<Choice>,
    model: Option<String>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Message>,
    text: Option<String>,
    logprobs: Option<Tokens>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
    tool_calls: Option<Vec<Call>>,
}

#[derive(Deserialize)]
struct Call {
    id: Option<String>,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    arguments: String,
}

/// Reads a whole answer, chat or completion.
pub(in crate::upstream) fn read(body: &[u8]) -> Result<Answered, AnswerError> {
    let form = |error: serde_json::Error| AnswerError::Form(error.to_string());
    let document: Value = serde_json::from_slice(body).map_err(form)?;
    if let Some(failure) = failure(&document) {
        return Err(AnswerError::Failed(failure));
    }
    let body: Body = serde_json::from_value(document).map_err(form)?;
    let choice = body.choices.into_iter().next();
    let choice = choice.ok_or_else(|| AnswerError::Form("it has no choices".to_owned()))?;
    let usage = body.usage.as_ref();
    Ok(Answered {
        said: said(choice)?,
        report: Report {
            model: model(body.model),
            prompt_tokens: count(usage.and_then(|usage| usage.prompt_tokens)),
            tokens: count(usage.and_then(|usage| usage.completion_tokens)),
        },
    })
}

fn said(choice: Choice) -> Result<Said, AnswerError> {
    let finish = finish(choice.finish_reason.as_deref().unwrap_or_default())?;
    let message = choice.message.unwrap_or_default();
    let refused = message.refusal.is_some();
    let text = message.content.or(choice.text).or(message.refusal);
    let calls = message.tool_calls.unwrap_or_default().into_iter();
    let calls = calls.enumerate().map(|(index, call)| ToolCall {
        id: call.id.unwrap_or_else(|| format!("call_{index}")),
        name: call.function.name,
        arguments: call.function.arguments,
    });
    let tool_calls: Vec<_> = calls.collect();
    Ok(Said {
        text: text.unwrap_or_default(),
        finish: if refused {
            Finish::ContentFilter
        } else {
            with_calls(finish, tool_calls.len())
        },
        tool_calls,
        logprobs: choice.logprobs.map(Tokens::read).unwrap_or_default(),
    })
}

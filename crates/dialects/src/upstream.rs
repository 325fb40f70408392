//! Ask other services: what is sent to each, and what their answers mean.
//!
//! A question means the same wherever it is sent. Settings are sent where they differ from what the service does when they are
//! missing; what a service cannot do is refused by the input's name, before anything is sent.

mod anthropic;
mod google;
mod openai;

use crate::{ApiError, Fault, error::cut, sse::TooLong};
use og_types::{
    Refusal,
    language::{Finish, Piece, Question, Said},
};
use serde::Deserialize;
use serde_json::Value;

/// Most characters of what a service says that went wrong.
const MAX_FAILURE: usize = 500;
/// Longest name of a model that is taken from an answer, in characters.
const MAX_MODEL: usize = 256;

/// Whose API is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// OpenAI's own.
    #[serde(rename = "openai")]
    OpenAi,
    /// xAI's.
    Xai,
    /// A vLLM server.
    Vllm,
    /// llama.cpp's server.
    LlamaServer,
    /// Another service that speaks as OpenAI's does, with its defaults.
    Compatible,
    /// Anthropic's own.
    Anthropic,
    /// Google's own.
    Google,
}

/// What is to be asked, of whom.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// What is asked.
    pub question: &'a Question,
    /// What the service calls the model.
    pub model: &'a str,
    /// The seed, if the client chose one: a service that takes none refuses then.
    pub seed: Option<u64>,
    /// Whether the answer is streamed.
    pub stream: bool,
    /// Most tokens of the answer where the question sets no bound and the service wants one.
    pub most_tokens: i64,
}

/// What is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// What the service's address is followed by, without a slash at the beginning.
    pub path: String,
    /// The body.
    pub body: Value,
}

/// What a service says of its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The model that it says answered; empty if it says nothing.
    pub model: String,
    /// Tokens of the prompt, if it says.
    pub prompt_tokens: Option<u32>,
    /// Tokens of the answer, if it says.
    pub tokens: Option<u32>,
}

/// An answer, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// What was said.
    pub said: Said,
    /// What the service says of it.
    pub report: Report,
}

/// How a streamed answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Why.
    pub finish: Finish,
    /// What the service says of it.
    pub report: Report,
}

/// Why an answer is of no use. It is the service's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is not what the service's API says.
    #[error("the answer is not in the form of its API: {0}")]
    Form(String),
    /// An event of the stream is too long.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The service says that it failed.
    #[error("the service failed: {0}")]
    Failed(String),
    /// The stream ended before the answer did.
    #[error("the answer was cut off")]
    Cut,
}

impl Service {
    /// What to send.
    ///
    /// # Errors
    /// [`Refusal`] names the input that this service cannot honour.
    pub fn request(self, call: &Call<'_>) -> Result<Sent, Refusal> {
        match self {
            Self::Anthropic => anthropic::request(call),
            Self::Google => google::request(call),
            _ => openai::request(self, call),
        }
    }

    /// The header that carries the key, and what stands before the key in it.
    pub const fn key_header(self) -> (&'static str, &'static str) {
        match self {
            Self::Anthropic => ("x-api-key", ""),
            Self::Google => ("x-goog-api-key", ""),
            _ => ("authorization", "Bearer "),
        }
    }

    /// Headers that every request has beside those for its key and its length.
    pub const fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Anthropic => &[
                ("content-type", "application/json"),
                ("anthropic-version", "2023-06-01"),
            ],
            _ => &[("content-type", "application/json")],
        }
    }

    /// Reads a whole answer.
    ///
    /// # Errors
    /// [`AnswerError`] if it is of no use.
    pub fn read(self, body: &[u8]) -> Result<Answered, AnswerError> {
        match self {
            Self::Anthropic => anthropic::read(body),
            Self::Google => google::read(body),
            _ => openai::read(body),
        }
    }

    /// Reads a streamed answer.
    pub fn stream(self) -> Stream {
        Stream(match self {
            Self::Anthropic => Inner::Anthropic(anthropic::Stream::default()),
            Self::Google => Inner::Google(google::Stream::default()),
            _ => Inner::OpenAi(openai::Stream::default()),
        })
    }
}

/// A streamed answer on its way.
#[derive(Debug)]
pub struct Stream(Inner);

#[derive(Debug)]
enum Inner {
    Anthropic(anthropic::Stream),
    Google(google::Stream),
    OpenAi(openai::Stream),
}

impl Stream {
    /// Takes bytes as they come, and gives what was said.
    ///
    /// # Errors
    /// [`AnswerError`] if the stream is of no use; there is nothing more to read then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Piece>, AnswerError> {
        match &mut self.0 {
            Inner::Anthropic(stream) => stream.push(bytes),
            Inner::Google(stream) => stream.push(bytes),
            Inner::OpenAi(stream) => stream.push(bytes),
        }
    }

    /// The stream is over.
    ///
    /// # Errors
    /// [`AnswerError::Cut`] if the answer is not.
    pub fn end(self) -> Result<Ended, AnswerError> {
        match self.0 {
            Inner::Anthropic(stream) => stream.end(),
            Inner::Google(stream) => stream.end(),
            Inner::OpenAi(stream) => stream.end(),
        }
    }
}

/// What to tell the client when `host` answers with another status than 200. The parameter, if the service names one, is called
/// as a question's input is.
pub fn refused(host: &str, status: u16, body: &[u8]) -> ApiError {
    let fault = match status {
        400 | 404 | 413 | 422 => Fault::Request,
        408 | 504 => Fault::Timeout,
        429 | 503 | 529 => Fault::Busy,
        _ => Fault::Upstream,
    };
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let reason = match status {
        // What services say of keys may show a part of them.
        401 | 403 => "it does not accept this gateway's key".to_owned(),
        _ => failure(&said)
            .or_else(|| bare(&said))
            .unwrap_or_else(|| "it does not say why".to_owned()),
    };
    let message = format!("{host} refuses with status {status}: {reason}");
    ApiError {
        param: input(&said),
        ..ApiError::new(fault, message)
    }
}

/// The input that is at fault, where a service names the parameter as OpenAI does.
fn input(document: &Value) -> Option<String> {
    let parameter = document.pointer("/error/param")?.as_str()?;
    let name = parameter.split(['.', '[']).next()?;
    let input = match name {
        "messages" => "prompt",
        "response_format" => "format",
        "max_completion_tokens" => "max_tokens",
        "top_logprobs" => "logprobs",
        "dimensions"
        | "frequency_penalty"
        | "input"
        | "logprobs"
        | "max_tokens"
        | "parallel_tool_calls"
        | "presence_penalty"
        | "prompt"
        | "repetition_penalty"
        | "seed"
        | "stop"
        | "temperature"
        | "tool_choice"
        | "tools"
        | "top_k"
        | "top_p" => name,
        _ => return None,
    };
    Some(input.to_owned())
}

/// What a document says that went wrong, in any service's shape, cut to a readable length.
pub(crate) fn failure(document: &Value) -> Option<String> {
    // Google's streams are lists.
    let document = document.get(0).unwrap_or(document);
    let error = document.get("error").filter(|error| !error.is_null())?;
    let message = match error.get("message") {
        Some(Value::String(message)) => message.clone(),
        _ => error
            .as_str()
            .map_or_else(|| error.to_string(), str::to_owned),
    };
    Some(cut(&message, MAX_FAILURE))
}

/// The same, where it stands alone: as older versions of vLLM have it, and Python's web servers.
fn bare(document: &Value) -> Option<String> {
    let message = document.get("message").or_else(|| document.get("detail"))?;
    Some(cut(message.as_str()?, MAX_FAILURE))
}

/// The name of a model, as a service says it.
pub(crate) fn model(name: Option<String>) -> String {
    name.map(|name| cut(&name, MAX_MODEL)).unwrap_or_default()
}

/// Why an answer ended, in a word that is in no API.
fn unknown_end(word: &str) -> AnswerError {
    AnswerError::Form(format!("it ended with {:?}", cut(word, 64)))
}

/// A count of tokens; none that does not fit.
pub(crate) fn count(value: Option<u64>) -> Option<u32> {
    value.and_then(|count| u32::try_from(count).ok())
}

/// Calls end an answer for the tools' sake, even where the service says that it just stopped.
fn with_calls(finish: Finish, calls: usize) -> Finish {
    match finish {
        Finish::Stop if calls > 0 => Finish::ToolCalls,
        finish => finish,
    }
}

#[cfg(test)]
mod tests;

//! Language models of another service: an OpenAI-compatible server is asked, and its answer passed on.
//!
//! Such a model is a small file that says whom to ask (`docs/formats/model.md`); keys for it are the node's, not the file's.

mod upstream;

use crate::{
    backend::{Backend, Pieces, Run, RunError},
    language::question,
};
use og_types::{
    Computed, ModelDescription, Tensor,
    language::{self, Finish, Format, Message, ONE, Prompt, Question, RelayedReply, Said},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};
use upstream::Upstream;
pub use upstream::{UpstreamError, UpstreamKey};

/// How a file of such a model begins.
pub(crate) const MAGIC: [u8; 8] = *b"[relay]\n";
/// Largest file, in bytes.
pub(crate) const MAX_FILE_BYTES: usize = 4096;

/// Keys of other services, by host (with its port, where the file names one).
pub type UpstreamKeys = BTreeMap<String, UpstreamKey>;

/// A language model that another service runs.
#[derive(Debug)]
pub struct Relay {
    upstream: Upstream,
    model: String,
    description: ModelDescription,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    relay: Described,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    /// What `/chat/completions` is appended to.
    url: String,
    /// What the service calls the model.
    model: String,
}

impl Relay {
    /// A model from its file's text. Nobody is asked yet.
    ///
    /// # Errors
    /// [`UpstreamError`] if the file is malformed, or the host's key would travel unencrypted.
    pub fn new(file: &str, keys: &UpstreamKeys) -> Result<Self, UpstreamError> {
        let File { relay } =
            toml::from_str(file).map_err(|error| UpstreamError::File(error.to_string()))?;
        if relay.model.is_empty() {
            return Err(UpstreamError::File("model: must not be empty".to_owned()));
        }
        Ok(Self {
            upstream: Upstream::new(&relay.url, keys)?,
            model: relay.model,
            description: language::relayed_description(),
        })
    }

    /// Asks the service.
    ///
    /// # Errors
    /// [`RunError`] if it refuses the question, is busy, or gives no usable answer.
    pub fn answer(&self, question: &Question, seed: u64) -> Result<RelayedReply, RunError> {
        let (path, body) = self.request(question, seed)?;
        let answer: Completion = self.upstream.post(path, &body)?;
        let host = self.upstream.host();
        let unusable = |what: String| RunError::Model(format!("{host} {what}"));
        let choice = answer.choices.into_iter().next();
        let choice = choice.ok_or_else(|| unusable("gave no answer".to_owned()))?;
        let finish = match choice.finish_reason.as_deref() {
            Some("stop") => Finish::Stop,
            Some("length") => Finish::Length,
            other => {
                let reason = other.unwrap_or("nothing").chars().take(64);
                let reason: String = reason.collect();
                return Err(unusable(format!("ended its answer with {reason:?}")));
            }
        };
        let text = choice.message.and_then(|message| message.content);
        let text = text.or(choice.text);
        Ok(RelayedReply {
            said: Said {
                text: text.ok_or_else(|| unusable("gave an answer without text".to_owned()))?,
                finish,
                ..Said::empty()
            },
            upstream: host.to_owned(),
            upstream_model: answer.model.unwrap_or_default(),
            prompt_tokens: answer.usage.as_ref().map(|usage| usage.prompt_tokens),
            tokens: answer.usage.as_ref().map(|usage| usage.completion_tokens),
        })
    }

    /// Where a question goes, and as what. Settings that OpenAI does not know are sent only where they are used: who knows
    /// them (vLLM, llama-server) honours them, others refuse.
    fn request(&self, question: &Question, seed: u64) -> Result<(&'static str, Value), RunError> {
        if let Some(setting) = unsupported(question) {
            return Err(RunError::Refused(format!(
                "{setting}: is not relayed to other services"
            )));
        }
        let multiple = |value: i64| value as f64 / ONE as f64;
        let mut body = json!({
            "model": self.model,
            "temperature": multiple(question.temperature),
            "top_p": multiple(question.top_p),
            // Services read it as a signed number.
            "seed": seed & (u64::MAX >> 1),
        });
        if let Some(most) = question.max_tokens {
            body["max_tokens"] = json!(most);
        }
        if !question.stop.is_empty() {
            body["stop"] = json!(question.stop);
        }
        if question.top_k != 0 {
            body["top_k"] = json!(question.top_k);
        }
        if question.repetition_penalty != ONE {
            body["repetition_penalty"] = json!(multiple(question.repetition_penalty));
        }
        for (name, penalty) in [
            ("frequency_penalty", question.frequency_penalty),
            ("presence_penalty", question.presence_penalty),
        ] {
            if penalty != 0 {
                body[name] = json!(multiple(penalty));
            }
        }
        Ok(match &question.prompt {
            Prompt::Text(text) => {
                body["prompt"] = json!(text);
                ("completions", body)
            }
            Prompt::Messages(messages) => {
                body["messages"] = messages.iter().map(turn).collect();
                ("chat/completions", body)
            }
        })
    }
}

/// What of a question is not relayed, if there is something.
fn unsupported(question: &Question) -> Option<&'static str> {
    let is_text = |message: &Message| {
        message.content.as_text().is_some()
            && message.tool_calls.is_empty()
            && message.tool_call_id.is_none()
    };
    let texts = match &question.prompt {
        Prompt::Text(_) => true,
        Prompt::Messages(messages) => messages.iter().all(is_text),
    };
    let asked = [
        (!texts, "prompt"),
        (question.format != Format::Text, "format"),
        (!question.tools.is_empty(), "tools"),
        (question.logprobs.is_some(), "logprobs"),
    ];
    asked
        .into_iter()
        .find_map(|(asked, name)| asked.then_some(name))
}

fn turn(message: &Message) -> Value {
    json!({ "role": message.role, "content": message.content.as_text() })
}

/// What we read of an answer; services add fields of their own.
#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    model: Option<String>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Answered>,
    text: Option<String>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Answered {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: u32,
    completion_tokens: u32,
}

impl Backend for Relay {
    fn computed(&self) -> Computed {
        Computed::Relayed
    }

    fn describe(&self) -> &ModelDescription {
        &self.description
    }

    fn run(self: Arc<Self>, inputs: Vec<Tensor>, seed: u64, pieces: Pieces) -> Run {
        Box::pin(async move {
            let question = question(&self.description, &inputs)?;
            let failed = |error: String| RunError::Model(error);
            let reply = tokio::task::spawn_blocking(move || self.answer(&question, seed))
                .await
                .map_err(|error| failed(error.to_string()))??;
            for piece in reply.said.pieces() {
                pieces.send(piece).await;
            }
            reply
                .to_tensors()
                .map_err(|error| failed(error.to_string()))
        })
    }
}

#[cfg(test)]
mod tests;

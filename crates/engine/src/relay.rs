//! Language models of another service: an OpenAI-compatible server is asked, and its answer passed on.
//!
//! Such a model is a small file that says whom to ask (`docs/formats/model.md`); keys for it are the node's, not the file's.

mod upstream;

use crate::{
    backend::{Backend, RunError},
    language::question,
};
use og_types::{
    Computed, ModelDescription, Tensor,
    language::{self, Finish, ONE, Prompt, Question, RelayedReply},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
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
        let (path, body) = self.request(question, seed);
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
            text: text.ok_or_else(|| unusable("gave an answer without text".to_owned()))?,
            finish,
            upstream: host.to_owned(),
            upstream_model: answer.model.unwrap_or_default(),
            prompt_tokens: answer.usage.as_ref().map(|usage| usage.prompt_tokens),
            tokens: answer.usage.as_ref().map(|usage| usage.completion_tokens),
        })
    }

    /// Where a question goes, and as what. Settings that OpenAI does not know are sent only where they are used: who knows
    /// them (vLLM, llama-server) honours them, others refuse.
    fn request(&self, question: &Question, seed: u64) -> (&'static str, Value) {
        let multiple = |value: i64| value as f64 / ONE as f64;
        let mut body = json!({
            "model": self.model,
            "max_tokens": question.max_tokens,
            "temperature": multiple(question.temperature),
            "top_p": multiple(question.top_p),
            // Services read it as a signed number.
            "seed": seed & (u64::MAX >> 1),
        });
        if !question.stop.is_empty() {
            body["stop"] = json!(question.stop);
        }
        if question.top_k != 0 {
            body["top_k"] = json!(question.top_k);
        }
        if question.repetition_penalty != ONE {
            body["repetition_penalty"] = json!(multiple(question.repetition_penalty));
        }
        match &question.prompt {
            Prompt::Text(text) => {
                body["prompt"] = json!(text);
                ("completions", body)
            }
            Prompt::Messages(messages) => {
                body["messages"] = json!(messages);
                ("chat/completions", body)
            }
        }
    }
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
    message: Option<Said>,
    text: Option<String>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
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

    fn run(&self, inputs: &[Tensor], seed: u64) -> Result<Vec<Tensor>, RunError> {
        let question = question(&self.description, inputs)?;
        let outputs = self.answer(&question, seed)?.to_tensors();
        Ok(outputs)
    }
}

#[cfg(test)]
mod tests;

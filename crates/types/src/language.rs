//! A question to a language model and its answer, as the tensors that requests and responses hold.
//!
//! Text is UTF-8 in a tensor of bytes, token ids are 32-bit integers, and settings of the sampling are integers, so that
//! whoever runs the request again reads the same numbers. The seed is not among them: the record carries it
//! (`docs/formats/language.md`).

mod relayed;
mod tensors;

pub use relayed::{RelayedReply, relayed_description};

use crate::{
    model::{ModelDescription, TensorDescription},
    tensor::{ElementType, Tensor},
};
use serde::{Deserialize, Serialize};
use tensors::{Fields, bytes, indices, number};

/// One, for settings that are multiples of 2^-16.
pub const ONE: i64 = 1 << 16;
/// Most tokens that one answer may have.
pub const MAX_ANSWER_TOKENS: i64 = 1 << 17;
/// Most stop strings of a question.
pub const MAX_STOPS: usize = 16;

/// What a model is given to go on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Prompt {
    /// Text as it is.
    Text(String),
    /// A conversation, written out by the model's own chat template.
    Messages(Vec<Message>),
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who speaks: `system`, `user` or `assistant`, and what else the template knows.
    pub role: String,
    /// What was said.
    pub content: String,
}

/// A question to a language model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What to go on from.
    pub prompt: Prompt,
    /// Most tokens of the answer, 1 to [`MAX_ANSWER_TOKENS`].
    pub max_tokens: i64,
    /// Multiples of 2^-16; 0 always takes the most probable token.
    pub temperature: i64,
    /// Chooses among so many of the most probable tokens; 0 among all.
    pub top_k: i64,
    /// Multiples of 2^-16: chooses among the most probable tokens that have this much probability together.
    pub top_p: i64,
    /// Multiples of 2^-16: by how much tokens that were there already are made less probable; [`ONE`] for not at all.
    pub repetition_penalty: i64,
    /// Texts at which the answer ends, without being part of it.
    pub stop: Vec<String>,
}

impl Question {
    /// A question with the usual settings: greedy, at most 256 tokens.
    pub fn new(prompt: Prompt) -> Self {
        Self {
            prompt,
            max_tokens: 256,
            temperature: 0,
            top_k: 0,
            top_p: ONE,
            repetition_penalty: ONE,
            stop: vec![],
        }
    }
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// The model ended it, or a stop string did.
    Stop,
    /// It reached the most tokens allowed, or the model's context is full.
    Length,
}

impl Finish {
    /// As it stands in a tensor.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, LanguageError> {
        match bytes {
            b"stop" => Ok(Self::Stop),
            b"length" => Ok(Self::Length),
            _ => Err(LanguageError::Form("finish")),
        }
    }
}

/// A language model's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What was said.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// The ids of the prompt as the model saw it.
    pub prompt_tokens: Vec<u32>,
    /// The ids that the model chose, the one that ended the answer included.
    pub tokens: Vec<u32>,
    /// Root of the commitments to every value that the run computed (`docs/spec/program.md`).
    pub trace_root: [u8; 32],
}

/// Tensors that are no question or no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LanguageError {
    /// A tensor is missing.
    #[error("{0:?} is missing")]
    Missing(&'static str),
    /// A tensor has another type or shape than it should.
    #[error("{0:?} has another type or shape than a language model's")]
    Form(&'static str),
    /// A value is out of range.
    #[error("{name:?} {reason}")]
    Value {
        /// The tensor.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// What a language model takes and gives: the same for all of them.
pub fn description() -> ModelDescription {
    let tensor = |name: &str, element_type, shape: &[Option<u32>]| TensorDescription {
        name: name.to_owned(),
        element_type,
        shape: shape.to_vec(),
    };
    let setting = |name| tensor(name, ElementType::I64, &[]);
    let text = |name| tensor(name, ElementType::U8, &[None]);
    ModelDescription {
        inputs: vec![
            setting("max_tokens"),
            text("prompt"),
            setting("repetition_penalty"),
            text("stop"),
            setting("temperature"),
            setting("top_k"),
            setting("top_p"),
        ],
        outputs: vec![
            text("finish"),
            tensor("prompt_tokens", ElementType::I32, &[None]),
            text("text"),
            tensor("tokens", ElementType::I32, &[None]),
            tensor("trace_root", ElementType::U8, &[Some(32)]),
        ],
    }
}

impl Question {
    /// The tensors of a request, sorted by name. Fails only on a text that JSON cannot hold.
    ///
    /// # Errors
    /// [`LanguageError::Value`] if the prompt or the stop strings cannot be written.
    pub fn to_tensors(&self) -> Result<Vec<Tensor>, LanguageError> {
        Ok(vec![
            number("max_tokens", self.max_tokens),
            bytes("prompt", &json("prompt", &self.prompt)?),
            number("repetition_penalty", self.repetition_penalty),
            bytes("stop", &json("stop", &self.stop)?),
            number("temperature", self.temperature),
            number("top_k", self.top_k),
            number("top_p", self.top_p),
        ])
    }

    /// Reads the tensors of a request.
    ///
    /// # Errors
    /// [`LanguageError`] names the tensor that is missing, malformed or out of range.
    pub fn from_tensors(tensors: &[Tensor]) -> Result<Self, LanguageError> {
        let fields = Fields(tensors);
        let stop: Vec<String> = parse("stop", fields.bytes("stop")?)?;
        if stop.len() > MAX_STOPS || stop.iter().any(String::is_empty) {
            let reason = format!("must be at most {MAX_STOPS} strings, none of them empty");
            return Err(LanguageError::Value {
                name: "stop",
                reason,
            });
        }
        let most = i64::from(u32::MAX);
        Ok(Self {
            prompt: parse("prompt", fields.bytes("prompt")?)?,
            max_tokens: fields.number("max_tokens", 1, MAX_ANSWER_TOKENS)?,
            temperature: fields.number("temperature", 0, most)?,
            top_k: fields.number("top_k", 0, most)?,
            top_p: fields.number("top_p", 1, ONE)?,
            repetition_penalty: fields.number("repetition_penalty", 1, most)?,
            stop,
        })
    }
}

impl Reply {
    /// The tensors of a response, sorted by name.
    ///
    /// # Errors
    /// [`LanguageError::Value`] if a token id does not fit 31 bits.
    pub fn to_tensors(&self) -> Result<Vec<Tensor>, LanguageError> {
        Ok(vec![
            bytes("finish", self.finish.as_str().as_bytes()),
            indices("prompt_tokens", &self.prompt_tokens)?,
            bytes("text", self.text.as_bytes()),
            indices("tokens", &self.tokens)?,
            bytes("trace_root", &self.trace_root),
        ])
    }

    /// Reads the tensors of a response.
    ///
    /// # Errors
    /// [`LanguageError`] names the tensor that is missing or malformed.
    pub fn from_tensors(tensors: &[Tensor]) -> Result<Self, LanguageError> {
        let fields = Fields(tensors);
        Ok(Self {
            text: fields.text("text")?,
            finish: Finish::from_bytes(fields.bytes("finish")?)?,
            prompt_tokens: fields.indices("prompt_tokens")?,
            tokens: fields.indices("tokens")?,
            trace_root: fields
                .bytes("trace_root")?
                .try_into()
                .map_err(|_| LanguageError::Form("trace_root"))?,
        })
    }
}

fn json(name: &'static str, value: &impl Serialize) -> Result<Vec<u8>, LanguageError> {
    serde_json::to_vec(value).map_err(|error| LanguageError::Value {
        name,
        reason: error.to_string(),
    })
}

fn parse<'a, T: Deserialize<'a>>(name: &'static str, bytes: &'a [u8]) -> Result<T, LanguageError> {
    serde_json::from_slice(bytes).map_err(|_| LanguageError::Value {
        name,
        reason: match name {
            "prompt" => "must be UTF-8 JSON: a string, or a list of {\"role\", \"content\"}",
            _ => "must be UTF-8 JSON: a list of strings",
        }
        .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::count_elements;

    fn question() -> Question {
        Question {
            temperature: ONE / 2,
            stop: vec!["\n\n".to_owned()],
            ..Question::new(Prompt::Messages(vec![Message {
                role: "user".to_owned(),
                content: "Hello".to_owned(),
            }]))
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_fits_the_description() {
        let tensors = question().to_tensors().unwrap();
        description().check_inputs(&tensors).unwrap();
        assert_eq!(Question::from_tensors(&tensors).unwrap(), question());
        let text = Question::new(Prompt::Text("Once".to_owned()));
        assert_eq!(
            Question::from_tensors(&text.to_tensors().unwrap()).unwrap(),
            text
        );
        let reply = Reply {
            text: "Hi é".to_owned(),
            finish: Finish::Length,
            prompt_tokens: vec![1, 2, 3],
            tokens: vec![],
            trace_root: [7; 32],
        };
        let tensors = reply.to_tensors().unwrap();
        count_elements(&tensors).unwrap();
        assert_eq!(Reply::from_tensors(&tensors).unwrap(), reply);
        let names: Vec<_> = tensors.iter().map(|tensor| &tensor.name).collect();
        let described = description().outputs;
        assert!(names.into_iter().eq(described.iter().map(|t| &t.name)));
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let refused = |change: &dyn Fn(&mut Question), name: &str| {
            let mut question = question();
            change(&mut question);
            let error = Question::from_tensors(&question.to_tensors().unwrap()).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        };
        refused(&|q| q.max_tokens = 0, "max_tokens");
        refused(&|q| q.temperature = -1, "temperature");
        refused(&|q| q.top_p = ONE + 1, "top_p");
        refused(&|q| q.repetition_penalty = 0, "repetition_penalty");
        refused(&|q| q.stop = vec![String::new()], "stop");
        let mut tensors = question().to_tensors().unwrap();
        tensors[1] = bytes("prompt", b"{\"role\":1}");
        assert!(
            Question::from_tensors(&tensors)
                .unwrap_err()
                .to_string()
                .contains("prompt")
        );
        tensors.remove(1);
        assert_eq!(
            Question::from_tensors(&tensors),
            Err(LanguageError::Missing("prompt"))
        );
    }
}

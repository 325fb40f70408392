//! A question: what to go on from, and the settings of the answer.

use super::{
    LanguageError, Prompt, Tool, ToolChoice,
    tensors::{Fields, bytes, json, number, parse},
};
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// One, for settings that are multiples of 2^-16.
pub const ONE: i64 = 1 << 16;
/// Most tokens that one answer may have.
pub const MAX_ANSWER_TOKENS: i64 = 1 << 17;
/// Most stop strings of a question.
pub const MAX_STOPS: usize = 16;
/// Most alternatives to each token whose probability can be asked for.
pub const MAX_LOGPROBS: i64 = 20;
/// Greatest frequency or presence penalty, and least if negative: two.
pub const MAX_PENALTY: i64 = 2 * ONE;

/// What an answer must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Any text.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that a schema admits.
    JsonSchema(serde_json::Value),
}

/// A question to a language model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What to go on from.
    pub prompt: Prompt,
    /// Most tokens of the answer, 1 to [`MAX_ANSWER_TOKENS`]; `None` for no limit but the node's own.
    pub max_tokens: Option<i64>,
    /// Multiples of 2^-16; 0 always takes the most probable token.
    pub temperature: i64,
    /// Chooses among so many of the most probable tokens; 0 among all.
    pub top_k: i64,
    /// Multiples of 2^-16: chooses among the most probable tokens that have this much probability together.
    pub top_p: i64,
    /// Multiples of 2^-16: by how much tokens that were there already are made less probable; [`ONE`] for not at all.
    pub repetition_penalty: i64,
    /// Multiples of 2^-16, ± [`MAX_PENALTY`]: what a token's logit loses for each time that it is in the answer already.
    pub frequency_penalty: i64,
    /// Multiples of 2^-16, ± [`MAX_PENALTY`]: what a token's logit loses if it is in the answer already.
    pub presence_penalty: i64,
    /// Texts at which the answer ends, without being part of it.
    pub stop: Vec<String>,
    /// What the answer must be.
    pub format: Format,
    /// What the answer may call.
    pub tools: Vec<Tool>,
    /// Which of them it may or must call.
    pub tool_choice: ToolChoice,
    /// Whether it may call several.
    pub parallel_tool_calls: bool,
    /// How probable each token was, with so many alternatives, at most [`MAX_LOGPROBS`]; `None` for not asking.
    pub logprobs: Option<i64>,
}

impl Question {
    /// A question with the usual settings: greedy, at most 256 tokens.
    pub fn new(prompt: Prompt) -> Self {
        Self {
            prompt,
            max_tokens: Some(256),
            temperature: 0,
            top_k: 0,
            top_p: ONE,
            repetition_penalty: ONE,
            frequency_penalty: 0,
            presence_penalty: 0,
            stop: vec![],
            format: Format::Text,
            tools: vec![],
            tool_choice: ToolChoice::Auto,
            parallel_tool_calls: true,
            logprobs: None,
        }
    }

    /// The tensors of a request, sorted by name. Fails only on a text that JSON cannot hold.
    ///
    /// # Errors
    /// [`LanguageError::Value`] if the prompt or another text cannot be written.
    pub fn to_tensors(&self) -> Result<Vec<Tensor>, LanguageError> {
        let text = |name, value: serde_json::Result<Vec<u8>>| Ok(bytes(name, &json(name, value)?));
        Ok(vec![
            text("format", serde_json::to_vec(&self.format))?,
            number("frequency_penalty", self.frequency_penalty),
            number("logprobs", self.logprobs.unwrap_or(-1)),
            number("max_tokens", self.max_tokens.unwrap_or(0)),
            number("parallel_tool_calls", self.parallel_tool_calls.into()),
            number("presence_penalty", self.presence_penalty),
            text("prompt", serde_json::to_vec(&self.prompt))?,
            number("repetition_penalty", self.repetition_penalty),
            text("stop", serde_json::to_vec(&self.stop))?,
            number("temperature", self.temperature),
            text("tool_choice", serde_json::to_vec(&self.tool_choice))?,
            text("tools", serde_json::to_vec(&self.tools))?,
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
        let most = i64::from(u32::MAX);
        let max_tokens = fields.number("max_tokens", 0, MAX_ANSWER_TOKENS)?;
        let logprobs = fields.number("logprobs", -1, MAX_LOGPROBS)?;
        let question = Self {
            prompt: parse("prompt", fields.bytes("prompt")?)?,
            max_tokens: Some(max_tokens).filter(|most| *most > 0),
            temperature: fields.number("temperature", 0, most)?,
            top_k: fields.number("top_k", 0, most)?,
            top_p: fields.number("top_p", 1, ONE)?,
            repetition_penalty: fields.number("repetition_penalty", 1, most)?,
            frequency_penalty: fields.number("frequency_penalty", -MAX_PENALTY, MAX_PENALTY)?,
            presence_penalty: fields.number("presence_penalty", -MAX_PENALTY, MAX_PENALTY)?,
            stop: parse("stop", fields.bytes("stop")?)?,
            format: parse("format", fields.bytes("format")?)?,
            tools: parse("tools", fields.bytes("tools")?)?,
            tool_choice: parse("tool_choice", fields.bytes("tool_choice")?)?,
            parallel_tool_calls: fields.number("parallel_tool_calls", 0, 1)? == 1,
            logprobs: Some(logprobs).filter(|count| *count >= 0),
        };
        question.check()?;
        Ok(question)
    }

    /// What no type says: stop strings are few and not empty, tools have names of their own, a chosen tool exists.
    fn check(&self) -> Result<(), LanguageError> {
        let wrong = |name, reason: String| Err(LanguageError::Value { name, reason });
        if self.stop.len() > MAX_STOPS || self.stop.iter().any(String::is_empty) {
            let reason = format!("must be at most {MAX_STOPS} strings, none of them empty");
            return wrong("stop", reason);
        }
        let mut names: Vec<_> = self.tools.iter().map(|tool| tool.name.as_str()).collect();
        names.sort_unstable();
        if names.contains(&"") || names.array_windows().any(|[a, b]| a == b) {
            return wrong("tools", "must each have a name of its own".to_owned());
        }
        match &self.tool_choice {
            ToolChoice::Tool(name) if !names.contains(&name.as_str()) => {
                wrong("tool_choice", format!("names {name:?}, which is no tool"))
            }
            ToolChoice::Required if names.is_empty() => wrong(
                "tool_choice",
                "requires a tool, and there is none".to_owned(),
            ),
            _ => Ok(()),
        }
    }
}

//! Settings that chat and completions share, and what they are when nobody sets them.

use crate::{ApiError, Usage, fields::Fields, settings};
use og_types::language::{MAX_PENALTY, ONE, Prompt, Question};
use serde_json::{Value, json};

/// Most answers to one request.
pub const MAX_CHOICES: usize = 16;
/// Highest temperature, a multiple of 2^-16: two.
pub(super) const MAX_TEMPERATURE: i64 = 2 * ONE;
/// Greatest repetition penalty, a multiple of 2^-16: sixteen.
const MAX_REPETITION_PENALTY: i64 = 16 * ONE;

/// Whose clients an answer is written for; they want the same fields in other places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// OpenAI's: usage comes in a frame of its own, and only when asked for.
    OpenAi,
    /// OpenGradient's: one last frame has everything, and `null` stands nowhere.
    OpenGradient,
}

/// What a request means that says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// The temperature, a multiple of 2^-16.
    pub temperature: i64,
    /// Most tokens of an answer; `None` for as many as the model can give.
    pub max_tokens: Option<i64>,
}

impl Defaults {
    /// As OpenAI publishes them for chat: temperature 1, and no bound on tokens but the model's.
    pub const OPENAI: Self = Self {
        temperature: ONE,
        max_tokens: None,
    };
    /// As OpenAI publishes them for completions: temperature 1, 16 tokens.
    pub const OPENAI_COMPLETIONS: Self = Self {
        temperature: ONE,
        max_tokens: Some(16),
    };
    /// As OpenGradient's gateway has them: temperature 0, 4,096 tokens.
    pub const OPENGRADIENT: Self = Self {
        temperature: 0,
        max_tokens: Some(4096),
    };

    /// A question that sets nothing.
    pub(super) fn question(self, prompt: Prompt) -> Question {
        Question {
            temperature: self.temperature,
            max_tokens: self.max_tokens,
            ..Question::new(prompt)
        }
    }
}

/// Parameters that only label a request or help a cache; they change no answer.
pub(super) const LABELS: [&str; 6] = [
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "user",
];

/// How tokens are chosen and where the answer ends. `top_k` and `repetition_penalty` are vLLM's.
pub(super) fn sampling(fields: &mut Fields, question: &mut Question) -> Result<(), ApiError> {
    settings::nucleus(fields, question, MAX_TEMPERATURE)?;
    if let Some(penalty) = fields.fraction("repetition_penalty", 1..=MAX_REPETITION_PENALTY)? {
        question.repetition_penalty = penalty;
    }
    let bounds = -MAX_PENALTY..=MAX_PENALTY;
    let frequency = fields.fraction("frequency_penalty", bounds.clone())?;
    question.frequency_penalty = frequency.unwrap_or(0);
    question.presence_penalty = fields.fraction("presence_penalty", bounds)?.unwrap_or(0);
    question.stop = settings::stop(fields, "stop")?;
    let biased = "is not supported: leave it out, or empty";
    fields.fixed("logit_bias", &[json!({})], biased)
}

/// How many answers are wanted.
pub(super) fn choices(fields: &mut Fields) -> Result<usize, ApiError> {
    let most = i64::try_from(MAX_CHOICES).unwrap_or(i64::MAX);
    let choices = fields.integer("n", 1..=most)?.unwrap_or(1);
    Ok(usize::try_from(choices).unwrap_or(1))
}

/// A seed: any integer of 64 bits, with a sign or without; a negative one counts from 2^64 down.
pub(super) fn seed(fields: &mut Fields) -> Result<Option<u64>, ApiError> {
    let Some(value) = fields.value("seed") else {
        return Ok(None);
    };
    let seed = value.as_u64();
    let seed = seed.or_else(|| value.as_i64().map(i64::cast_unsigned));
    let seed = seed.ok_or_else(|| fields.invalid("seed", "must be an integer of 64 bits"))?;
    Ok(Some(seed))
}

/// Whether the answer is streamed, and whether the stream ends with usage.
pub(super) fn stream(fields: &mut Fields) -> Result<(bool, bool), ApiError> {
    let stream = fields.flag("stream")?.unwrap_or(false);
    let Some(mut options) = fields.object("stream_options")? else {
        return Ok((stream, false));
    };
    if !stream {
        return Err(fields.invalid("stream_options", "is only for requests with 'stream': true"));
    }
    let include_usage = options.flag("include_usage")?.unwrap_or(false);
    let padding = "is not supported: frames are not padded, so send false";
    options.fixed("include_obfuscation", &[json!(false)], padding)?;
    options.finish()?;
    Ok((stream, include_usage))
}

/// Usage in OpenAI's shape.
pub(super) fn usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.answer_tokens,
        "total_tokens": usage.total(),
    })
}

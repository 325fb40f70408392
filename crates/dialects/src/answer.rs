//! What an answer has beside what was said.

/// What every body and every frame of one answer repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Name of the answer, unique among the gateway's.
    pub id: String,
    /// When it was asked for, in seconds since 1970.
    pub created: u64,
    /// The model, as the client named it.
    pub model: String,
}

/// How many tokens went in and came out, over all choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the answer.
    pub answer_tokens: u32,
}

impl Usage {
    /// Tokens in and out together.
    pub const fn total(self) -> u64 {
        self.prompt_tokens as u64 + self.answer_tokens as u64
    }
}

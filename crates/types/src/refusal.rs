//! Why a model does not do what a request of the right form asks for.

use crate::language::LanguageError;

/// A refusal. Whoever asks the same of the same model is refused again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The input at fault, perhaps with the way into its JSON: `prompt[0].content[1]`. `None` if it is no single one.
    pub input: Option<String>,
    /// What is wrong with it; goes on after its name.
    pub reason: String,
}

impl Refusal {
    /// A refusal of an input: `reason` goes on after its name.
    pub fn of(input: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            input: Some(input.into()),
            reason: reason.into(),
        }
    }
}

/// The input's name stands at the beginning, in `'`: whoever calls it otherwise can replace it.
impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.input {
            Some(input) => write!(f, "'{input}' {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<LanguageError> for Refusal {
    fn from(error: LanguageError) -> Self {
        match error {
            LanguageError::Missing(name) => Self::of(name, "is missing"),
            LanguageError::Form(name) => {
                Self::of(name, "has another type or shape than a language model's")
            }
            LanguageError::Value { name, reason } => Self::of(name, reason),
        }
    }
}

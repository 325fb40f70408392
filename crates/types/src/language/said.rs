//! What a language model said, whole and piece by piece.

use super::{LanguageError, MAX_STOPS, ToolCall};
use serde::{Deserialize, Serialize};

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Finish {
    /// The model ended it; of a relayed answer, perhaps a stop string did.
    Stop,
    /// The stop string at this place of the question's list did.
    StopString(u8),
    /// It reached the most tokens allowed, or the model's context is full.
    Length,
    /// It calls tools, and goes on when they have answered.
    ToolCalls,
    /// Another service withheld the rest.
    ContentFilter,
}

impl Finish {
    /// In OpenAI's words, which tell stop strings from no other end.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop | Self::StopString(_) => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
        }
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, LanguageError> {
        let stops = u8::try_from(MAX_STOPS).unwrap_or(u8::MAX);
        [
            Self::Stop,
            Self::Length,
            Self::ToolCalls,
            Self::ContentFilter,
        ]
        .into_iter()
        .chain((0..stops).map(Self::StopString))
        .find(|finish| finish.to_string().as_bytes() == bytes)
        .ok_or(LanguageError::Form("finish"))
    }
}

/// As it stands in a tensor.
impl std::fmt::Display for Finish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::StopString(place) => write!(f, "stop:{place}"),
            other => f.write_str(other.as_str()),
        }
    }
}

impl From<Finish> for String {
    fn from(finish: Finish) -> Self {
        finish.to_string()
    }
}

impl TryFrom<String> for Finish {
    type Error = LanguageError;

    fn try_from(text: String) -> Result<Self, LanguageError> {
        Self::from_bytes(text.as_bytes())
    }
}

/// How probable a token was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// The token's bytes, which need not be whole characters.
    pub bytes: Vec<u8>,
    /// Natural logarithm of its probability, a multiple of 2^-16.
    pub logprob: i64,
}

/// How probable a token of the answer was, and others in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logprob {
    /// The token that was chosen.
    pub chosen: Alternative,
    /// The most probable ones, as many as were asked for, the chosen one perhaps among them.
    pub top: Vec<Alternative>,
}

/// What a language model said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The text; empty if there are only calls.
    pub text: String,
    /// Calls of tools.
    pub tool_calls: Vec<ToolCall>,
    /// How probable each token was, if that was asked for.
    pub logprobs: Vec<Logprob>,
    /// Why it ended.
    pub finish: Finish,
}

/// A piece of an answer, as it comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Piece {
    /// More of the text.
    Text(String),
    /// The next call begins. Its arguments follow.
    Call {
        /// Name of the call.
        id: String,
        /// The tool.
        name: String,
    },
    /// More of the last call's arguments.
    Arguments(String),
    /// How probable the tokens of what came were.
    Logprobs(Vec<Logprob>),
}

/// Pieces that are not what was said in the end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PieceError {
    /// Arguments without a call.
    #[error("arguments came before any call")]
    NoCall,
    /// Something else came than the answer has.
    #[error("the pieces of the answer do not make up the answer")]
    Different,
}

impl Said {
    /// Nothing yet.
    pub const fn empty() -> Self {
        Self {
            text: String::new(),
            tool_calls: vec![],
            logprobs: vec![],
            finish: Finish::Stop,
        }
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// [`PieceError::NoCall`] on arguments before any call.
    pub fn add(&mut self, piece: &Piece) -> Result<(), PieceError> {
        match piece {
            Piece::Text(text) => self.text.push_str(text),
            Piece::Call { id, name } => self.tool_calls.push(ToolCall {
                id: id.clone(),
                name: name.clone(),
                arguments: String::new(),
            }),
            Piece::Arguments(more) => {
                let call = self.tool_calls.last_mut().ok_or(PieceError::NoCall)?;
                call.arguments.push_str(more);
            }
            Piece::Logprobs(more) => self.logprobs.extend_from_slice(more),
        }
        Ok(())
    }

    /// Whether pieces that were added up to `self` are what was said in the end.
    ///
    /// # Errors
    /// [`PieceError::Different`] if not.
    pub fn check(&self, whole: &Self) -> Result<(), PieceError> {
        let same = self.text == whole.text
            && self.tool_calls == whole.tool_calls
            && self.logprobs == whole.logprobs;
        same.then_some(()).ok_or(PieceError::Different)
    }

    /// The same as pieces: what was said at once, for whoever wants a stream.
    pub fn pieces(&self) -> Vec<Piece> {
        let text = (!self.text.is_empty()).then(|| Piece::Text(self.text.clone()));
        let calls = self.tool_calls.iter().flat_map(|call| {
            let begin = Piece::Call {
                id: call.id.clone(),
                name: call.name.clone(),
            };
            [begin, Piece::Arguments(call.arguments.clone())]
        });
        let logprobs = (!self.logprobs.is_empty()).then(|| Piece::Logprobs(self.logprobs.clone()));
        text.into_iter().chain(calls).chain(logprobs).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_one_word() {
        for (finish, word) in [
            (Finish::Stop, "stop"),
            (Finish::StopString(0), "stop:0"),
            (Finish::StopString(15), "stop:15"),
            (Finish::ContentFilter, "content_filter"),
        ] {
            assert_eq!(finish.to_string(), word);
            assert_eq!(Finish::from_bytes(word.as_bytes()), Ok(finish));
        }
        for word in ["stop:", "stop:16", "stop:00", "stop:-1", "end"] {
            assert!(Finish::from_bytes(word.as_bytes()).is_err(), "{word}");
        }
    }

    #[test]
    fn pieces_add_up_to_what_was_said_and_to_nothing_else() {
        let whole = Said {
            text: "Let me see.".to_owned(),
            tool_calls: vec![ToolCall {
                id: "call_1".to_owned(),
                name: "look".to_owned(),
                arguments: "{\"at\":1}".to_owned(),
            }],
            logprobs: vec![],
            finish: Finish::ToolCalls,
        };
        let mut sum = Said::empty();
        for piece in whole.pieces() {
            sum.add(&piece).unwrap();
        }
        assert_eq!(sum.check(&whole), Ok(()));
        sum.add(&Piece::Text("!".to_owned())).unwrap();
        assert_eq!(sum.check(&whole), Err(PieceError::Different));
        let early = Piece::Arguments("{}".to_owned());
        assert_eq!(Said::empty().add(&early), Err(PieceError::NoCall));
    }
}

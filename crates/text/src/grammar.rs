//! Grammars that an answer must follow: at each step a mask of the tokens that may come next.
//!
//! Masks come from `llguidance` over the bytes that tokens stand for. Special tokens never match text; the
//! tokens that end an answer are allowed where the grammar may end.

#[cfg(test)]
mod tests;

use crate::{
    Tokenizer,
    contain::{contain, shorten},
};
use llguidance::{
    Matcher, ParserFactory,
    api::{ParserLimits, StopReason, TopLevelGrammar},
    toktrie::{ApproximateTokEnv, InferenceCapabilities, SimpleVob, TokEnv, TokRxInfo, TokTrie},
};
use serde_json::Value;
use std::{fmt, sync::Arc};

/// Bytes of one schema, expression or grammar.
const MAX_SOURCE_BYTES: usize = 64 << 10;
/// Lists within lists in a schema.
const MAX_DEPTH: usize = 48;
/// The library's tree of tokens cannot hold longer ones; they are never allowed.
const MAX_TOKEN_BYTES: usize = 512;
/// All characters of all tokens in the library's tree.
const MAX_TREE_BYTES: usize = 4 << 20;

/// What an answer must be.
#[derive(Clone, Debug, PartialEq)]
pub enum GrammarSource {
    /// Any JSON object.
    JsonObject,
    /// JSON that a schema admits.
    JsonSchema(Value),
    /// Text that a regular expression (Rust's syntax, no look-around) matches as a whole.
    Regex(String),
    /// Text of a grammar in `llguidance`'s variant of Lark.
    Lark(String),
}

/// Why there is no grammar, or no mask.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// The vocabulary cannot be used.
    #[error("this tokenizer cannot be constrained: {0}")]
    Vocabulary(String),
    /// The source is too long or nested too deep.
    #[error("the grammar is too large: at most {MAX_SOURCE_BYTES} bytes and {MAX_DEPTH} levels")]
    TooLarge,
    /// The source is wrong, or uses what is not supported.
    #[error("the grammar cannot be used: {0}")]
    Unsupported(String),
    /// The grammar needs more work than one step may do.
    #[error("the grammar is too complex to follow: {0}")]
    TooComplex(String),
    /// A token was given that the mask did not allow.
    #[error("token {0} is not allowed here")]
    NotAllowed(u32),
    /// No token of the vocabulary can go on.
    #[error("no token can continue here: {0}")]
    Stuck(String),
}

/// One bit for each token: bit `id % 32` of word `id / 32`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// The bits.
    pub words: Vec<u32>,
}

impl Mask {
    /// Whether a token is allowed.
    pub fn allows(&self, id: u32) -> bool {
        let word = self.words.get(id as usize / 32).copied().unwrap_or(0);
        word >> (id % 32) & 1 == 1
    }
}

/// Compiles grammars for one tokenizer. Cheap to share behind an `Arc`.
pub struct GrammarFactory {
    parsers: ParserFactory,
    ends: Vec<u32>,
}

impl fmt::Debug for GrammarFactory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "GrammarFactory with ends {:?}", self.ends)
    }
}

impl GrammarFactory {
    /// Prepares a vocabulary. `ends` are the tokens that end an answer: at least one.
    ///
    /// # Errors
    /// If there is no such token, or the vocabulary is too large for the library.
    pub fn new(tokenizer: &Tokenizer, ends: &[u32]) -> Result<Self, GrammarError> {
        let size = tokenizer.vocabulary_size();
        let first = *ends
            .first()
            .ok_or_else(|| GrammarError::Vocabulary("no token ends an answer".to_owned()))?;
        if let Some(end) = ends.iter().find(|&&end| end as usize >= size) {
            return Err(GrammarError::Vocabulary(format!(
                "token {end}, which ends answers, does not exist"
            )));
        }
        let words: Vec<Vec<u8>> = (0..size as u32)
            .map(|id| word(tokenizer, ends, id))
            .collect();
        let bytes: usize = words.iter().map(Vec::len).sum();
        if bytes > MAX_TREE_BYTES {
            return Err(GrammarError::Vocabulary(format!(
                "its tokens have {bytes} bytes; at most {MAX_TREE_BYTES}"
            )));
        }
        let parsers = contain(|| {
            let trie =
                TokTrie::from(&TokRxInfo::new(size as u32, first), &words).with_eos_tokens(ends);
            let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
            ParserFactory::new(&environment, InferenceCapabilities::default(), &[])
        });
        let mut parsers = parsers
            .map_err(GrammarError::Vocabulary)?
            .map_err(|error| GrammarError::Vocabulary(shorten(&error.to_string())))?;
        parsers.quiet();
        *parsers.limits_mut() = ParserLimits {
            max_items_in_row: 2000,
            initial_lexer_fuel: 500_000,
            step_lexer_fuel: 200_000,
            step_max_items: 50_000,
            max_lexer_states: 20_000,
            max_grammar_size: 100_000,
            precompute_large_lexemes: false,
            verbose_errors: false,
        };
        Ok(Self {
            parsers,
            ends: ends.to_vec(),
        })
    }

    /// Compiles a grammar.
    ///
    /// # Errors
    /// If it is too large, wrong, or uses what is not supported: the message names it.
    pub fn compile(&self, source: &GrammarSource) -> Result<Grammar, GrammarError> {
        let grammar = match source {
            GrammarSource::JsonObject => {
                TopLevelGrammar::from_json_schema(serde_json::json!({ "type": "object" }))
            }
            GrammarSource::JsonSchema(schema) => {
                check_schema(schema)?;
                TopLevelGrammar::from_json_schema(schema.clone())
            }
            GrammarSource::Regex(text) => TopLevelGrammar::from_regex(checked(text)?),
            GrammarSource::Lark(text) => TopLevelGrammar::from_lark(checked(text)?.to_owned()),
        };
        let matcher = contain(|| Matcher::new(self.parsers.create_parser(grammar)))
            .map_err(GrammarError::Unsupported)?;
        match matcher.get_error() {
            Some(error) => Err(GrammarError::Unsupported(shorten(&error))),
            None => Ok(Grammar {
                matcher,
                ends: self.ends.clone(),
            }),
        }
    }
}

/// The bytes of a token in the library's tree; special tokens are marked with a byte that is never in text.
fn word(tokenizer: &Tokenizer, ends: &[u32], id: u32) -> Vec<u8> {
    let bytes = match tokenizer.token(id) {
        Some(token) if tokenizer.is_special(id) || ends.contains(&id) => {
            [&[TokTrie::SPECIAL_TOKEN_MARKER], token.as_bytes()].concat()
        }
        _ => tokenizer.token_bytes(id).unwrap_or_default().to_vec(),
    };
    let marked_by_chance =
        bytes.first() == Some(&TokTrie::SPECIAL_TOKEN_MARKER) && !tokenizer.is_special(id);
    if bytes.len() > MAX_TOKEN_BYTES || (marked_by_chance && !ends.contains(&id)) {
        Vec::new()
    } else {
        bytes
    }
}

fn checked(text: &str) -> Result<&str, GrammarError> {
    if text.len() > MAX_SOURCE_BYTES {
        Err(GrammarError::TooLarge)
    } else {
        Ok(text)
    }
}

/// Checks that a schema is not larger or nested deeper than a grammar may be.
///
/// # Errors
/// [`GrammarError::TooLarge`] if it is.
pub fn check_schema(schema: &Value) -> Result<(), GrammarError> {
    measure(schema, 0, &mut 0)
}

fn measure(schema: &Value, depth: usize, bytes: &mut usize) -> Result<(), GrammarError> {
    *bytes += 4;
    match schema {
        Value::String(text) => *bytes += text.len(),
        Value::Array(items) if depth < MAX_DEPTH => {
            items
                .iter()
                .try_for_each(|item| measure(item, depth + 1, bytes))?;
        }
        Value::Object(fields) if depth < MAX_DEPTH => {
            for (name, field) in fields {
                *bytes += name.len();
                measure(field, depth + 1, bytes)?;
            }
        }
        Value::Array(_) | Value::Object(_) => return Err(GrammarError::TooLarge),
        _ => {}
    }
    if *bytes > MAX_SOURCE_BYTES {
        Err(GrammarError::TooLarge)
    } else {
        Ok(())
    }
}

/// A grammar and how far an answer has followed it.
#[derive(Clone)]
pub struct Grammar {
    matcher: Matcher,
    ends: Vec<u32>,
}

impl fmt::Debug for Grammar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Grammar, {}",
            if self.is_finished() {
                "finished"
            } else {
                "open"
            }
        )
    }
}

impl Grammar {
    /// The tokens that may come next; once the answer has ended, only those that end it.
    ///
    /// # Errors
    /// If the grammar needs too much work, or no token can continue.
    pub fn mask(&mut self) -> Result<Mask, GrammarError> {
        let mask =
            contain(|| self.matcher.compute_mask_or_eos()).map_err(GrammarError::TooComplex)?;
        let mask: SimpleVob = mask.map_err(|error| self.failure(&error))?;
        if mask.is_zero() {
            return Err(GrammarError::Stuck(
                "the vocabulary lacks the bytes that the grammar asks for".to_owned(),
            ));
        }
        Ok(Mask {
            words: mask.as_slice().to_vec(),
        })
    }

    /// Follows the grammar with the next token of the answer.
    ///
    /// # Errors
    /// If the token is not allowed; the grammar is then as it was. If it needs too much work.
    pub fn accept(&mut self, token: u32) -> Result<(), GrammarError> {
        if self.is_finished() {
            return if self.ends.contains(&token) {
                Ok(())
            } else {
                Err(GrammarError::NotAllowed(token))
            };
        }
        let taken = contain(|| self.matcher.try_consume_tokens(&[token]))
            .map_err(GrammarError::TooComplex)?;
        match taken {
            Ok(1) => Ok(()),
            Ok(_) => Err(GrammarError::NotAllowed(token)),
            Err(error) => Err(self.failure(&error)),
        }
    }

    /// Whether the answer may end here.
    pub fn is_complete(&mut self) -> bool {
        contain(|| self.matcher.is_accepting()).is_ok_and(|accepting| accepting.unwrap_or(false))
            || self.is_finished()
    }

    /// Whether the answer has ended: nothing but an end may follow.
    pub fn is_finished(&self) -> bool {
        self.matcher.is_stopped() && !self.matcher.is_error()
    }

    fn failure(&self, error: &impl fmt::Display) -> GrammarError {
        let message = shorten(&error.to_string());
        match self.matcher.stop_reason() {
            StopReason::NoExtension | StopReason::NoExtensionBias => GrammarError::Stuck(message),
            _ => GrammarError::TooComplex(message),
        }
    }
}

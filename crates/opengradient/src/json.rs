//! JSON as CPython reads it, within bounds.
//!
//! Integers keep all their digits and are never floats, the last of equal keys counts, and keys are
//! in the order of code points. What a Rust string cannot hold (lone surrogates) and what is not
//! JSON (`NaN`, `Infinity`, numbers too large for a float) is refused.

use crate::canonical::CanonicalError;
use jiter::{Jiter, JiterError, Peek};

/// Deepest nesting that is read.
pub const MAX_DEPTH: usize = 128;
/// Most values that are read, members of objects and elements of lists included.
pub const MAX_VALUES: usize = 100_000;
/// Most digits of an integer, as CPython has it.
pub const MAX_INTEGER_DIGITS: usize = 4_300;

/// A JSON value.
#[derive(Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// Its digits, with a sign if it is negative.
    Integer(String),
    /// Finite.
    Float(f64),
    String(String),
    List(Vec<Self>),
    Object(Object),
}

/// An object's members, each key once, sorted by key.
#[derive(Clone, Default)]
pub(crate) struct Object(Vec<(String, Value)>);

impl Value {
    /// Reads a whole document.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, CanonicalError> {
        let mut reader = Reader {
            tokens: Jiter::new(bytes),
            values_left: MAX_VALUES,
        };
        let first = reader.tokens.peek()?;
        let value = reader.value(first, MAX_DEPTH)?;
        reader.tokens.finish()?;
        Ok(value)
    }

    /// What Python calls the truth of a value: nothing, zero and emptiness are false.
    pub(crate) fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Integer(digits) => digits != "0",
            Self::Float(value) => *value != 0.0,
            Self::String(text) => !text.is_empty(),
            Self::List(values) => !values.is_empty(),
            Self::Object(Object(members)) => !members.is_empty(),
        }
    }

    pub(crate) fn text(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl Object {
    /// An object of these members; the last of equal keys counts.
    pub(crate) fn new(mut members: Vec<(String, Value)>) -> Self {
        members.reverse();
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        members.dedup_by(|(later, _), (first, _)| later == first);
        Self(members)
    }

    pub(crate) fn of<const N: usize>(members: [(&str, Value); N]) -> Self {
        Self::new(members.map(|(key, value)| (key.to_owned(), value)).into())
    }

    /// The members, sorted by the code points of their keys: UTF-8 has the same order.
    pub(crate) fn members(&self) -> &[(String, Value)] {
        &self.0
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        let found = self.0.binary_search_by(|(name, _)| name.as_str().cmp(key));
        self.0.get(found.ok()?).map(|(_, value)| value)
    }

    /// The member, if Python takes it for true.
    pub(crate) fn truthy(&self, key: &str) -> Option<&Value> {
        self.get(key).filter(|value| value.is_truthy())
    }
}

struct Reader<'a> {
    tokens: Jiter<'a>,
    values_left: usize,
}

impl Reader<'_> {
    fn value(&mut self, next: Peek, depth_left: usize) -> Result<Value, CanonicalError> {
        self.values_left = self
            .values_left
            .checked_sub(1)
            .ok_or(CanonicalError::Values)?;
        match next {
            Peek::Null => self.tokens.known_null().map(|()| Value::Null),
            Peek::True | Peek::False => self.tokens.known_bool(next).map(Value::Bool),
            Peek::String => self.tokens.known_str().map(Value::text),
            Peek::Array => return self.list(depth_left),
            Peek::Object => return self.object(depth_left),
            _ => return number(self.tokens.known_number_bytes(next)?),
        }
        .map_err(CanonicalError::from)
    }

    fn list(&mut self, depth_left: usize) -> Result<Value, CanonicalError> {
        let depth_left = depth_left.checked_sub(1).ok_or(CanonicalError::Depth)?;
        let mut values = Vec::new();
        let mut next = self.tokens.known_array()?;
        while let Some(peek) = next {
            values.push(self.value(peek, depth_left)?);
            next = self.tokens.array_step()?;
        }
        Ok(Value::List(values))
    }

    fn object(&mut self, depth_left: usize) -> Result<Value, CanonicalError> {
        let depth_left = depth_left.checked_sub(1).ok_or(CanonicalError::Depth)?;
        let mut members = Vec::new();
        let mut key = self.tokens.known_object()?.map(str::to_owned);
        while let Some(name) = key {
            let next = self.tokens.peek()?;
            members.push((name, self.value(next, depth_left)?));
            key = self.tokens.next_key()?.map(str::to_owned);
        }
        Ok(Value::Object(Object::new(members)))
    }
}

/// The number with these characters, which are as JSON has them.
fn number(literal: &[u8]) -> Result<Value, CanonicalError> {
    let literal = str::from_utf8(literal).map_err(|_| CanonicalError::Number)?;
    if literal.contains(['.', 'e', 'E']) {
        let value: f64 = literal.parse().map_err(|_| CanonicalError::Number)?;
        return match value.is_finite() {
            true => Ok(Value::Float(value)),
            false => Err(CanonicalError::Number),
        };
    }
    if literal.trim_start_matches('-').len() > MAX_INTEGER_DIGITS {
        return Err(CanonicalError::Digits);
    }
    let literal = if literal == "-0" { "0" } else { literal };
    Ok(Value::Integer(literal.to_owned()))
}

impl From<JiterError> for CanonicalError {
    fn from(error: JiterError) -> Self {
        Self::Json {
            reason: error.error_type.to_string(),
            offset: error.index,
        }
    }
}

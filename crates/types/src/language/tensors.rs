//! Numbers, bytes and indices as tensors, and back.

use super::{Finish, LanguageError, Said};
use crate::{
    model::TensorDescription,
    tensor::{ElementType, Tensor},
};
use serde::Deserialize;

/// The tensors of a request or response, by name.
pub(crate) struct Fields<'a>(pub(crate) &'a [Tensor]);

impl<'a> Fields<'a> {
    fn data(
        &self,
        name: &'static str,
        element_type: ElementType,
        rank: usize,
    ) -> Result<&'a [u8], LanguageError> {
        let tensor = self
            .0
            .iter()
            .find(|tensor| tensor.name == name)
            .ok_or(LanguageError::Missing(name))?;
        let fits = tensor.element_type == element_type
            && tensor.shape.len() == rank
            && tensor.expected_bytes() == Some(tensor.data.len());
        fits.then_some(&tensor.data[..])
            .ok_or(LanguageError::Form(name))
    }

    /// A list of bytes.
    pub(crate) fn bytes(&self, name: &'static str) -> Result<&'a [u8], LanguageError> {
        self.data(name, ElementType::U8, 1)
    }

    /// A list of rows: the length of a row, and the bytes of all.
    pub(crate) fn rows(
        &self,
        name: &'static str,
        element_type: ElementType,
    ) -> Result<(usize, &'a [u8]), LanguageError> {
        let data = self.data(name, element_type, 2)?;
        let tensor = self.0.iter().find(|tensor| tensor.name == name);
        let length = tensor.and_then(|tensor| usize::try_from(*tensor.shape.get(1)?).ok());
        Ok((length.ok_or(LanguageError::Form(name))?, data))
    }

    /// A text in UTF-8.
    pub(crate) fn text(&self, name: &'static str) -> Result<String, LanguageError> {
        let text = std::str::from_utf8(self.bytes(name)?);
        text.map(str::to_owned)
            .map_err(|_| LanguageError::Form(name))
    }

    /// One integer within bounds.
    pub(crate) fn number(
        &self,
        name: &'static str,
        least: i64,
        most: i64,
    ) -> Result<i64, LanguageError> {
        let data = self.data(name, ElementType::I64, 0)?;
        let data = data.try_into().map_err(|_| LanguageError::Form(name))?;
        let value = i64::from_le_bytes(data);
        if (least..=most).contains(&value) {
            return Ok(value);
        }
        Err(LanguageError::Value {
            name,
            reason: format!("is {value}, and must be {least} to {most}"),
        })
    }

    /// A list of token ids.
    pub(crate) fn indices(&self, name: &'static str) -> Result<Vec<u32>, LanguageError> {
        let data = self.data(name, ElementType::I32, 1)?;
        let (ids, _) = data.as_chunks();
        ids.iter()
            .map(|id| u32::try_from(i32::from_le_bytes(*id)).map_err(|_| LanguageError::Form(name)))
            .collect()
    }
}

/// One integer.
pub(crate) fn number(name: &str, value: i64) -> Tensor {
    Tensor {
        name: name.to_owned(),
        element_type: ElementType::I64,
        shape: vec![],
        data: value.to_le_bytes().to_vec().into(),
    }
}

/// A list of bytes.
pub(crate) fn bytes(name: &str, data: &[u8]) -> Tensor {
    Tensor {
        name: name.to_owned(),
        element_type: ElementType::U8,
        shape: vec![u32::try_from(data.len()).unwrap_or(u32::MAX)],
        data: data.to_vec().into(),
    }
}

/// A list of token ids.
pub(crate) fn indices(name: &'static str, ids: &[u32]) -> Result<Tensor, LanguageError> {
    let mut data = Vec::with_capacity(ids.len().saturating_mul(4));
    for id in ids {
        let id = i32::try_from(*id).map_err(|_| LanguageError::Value {
            name,
            reason: format!("holds {id}, which is no token id"),
        })?;
        data.extend_from_slice(&id.to_le_bytes());
    }
    Ok(Tensor {
        name: name.to_owned(),
        element_type: ElementType::I32,
        shape: vec![u32::try_from(ids.len()).unwrap_or(u32::MAX)],
        data: data.into(),
    })
}

/// How a setting looks.
pub(crate) fn number_form(name: &str) -> TensorDescription {
    TensorDescription {
        name: name.to_owned(),
        element_type: ElementType::I64,
        shape: vec![],
    }
}

/// How a list of token ids looks.
pub(crate) fn indices_form(name: &str) -> TensorDescription {
    TensorDescription {
        name: name.to_owned(),
        element_type: ElementType::I32,
        shape: vec![None],
    }
}

/// How a text looks.
pub(crate) fn text_form(name: &str) -> TensorDescription {
    TensorDescription {
        name: name.to_owned(),
        element_type: ElementType::U8,
        shape: vec![None],
    }
}

/// What was said: `finish`, `logprobs`, `text` and `tool_calls`.
pub(super) fn said_to(said: &Said) -> Result<[Tensor; 4], LanguageError> {
    let logprobs = json("logprobs", serde_json::to_vec(&said.logprobs))?;
    let tool_calls = json("tool_calls", serde_json::to_vec(&said.tool_calls))?;
    Ok([
        bytes("finish", said.finish.to_string().as_bytes()),
        bytes("logprobs", &logprobs),
        bytes("text", said.text.as_bytes()),
        bytes("tool_calls", &tool_calls),
    ])
}

/// What was said, from the same tensors.
pub(super) fn said_from(fields: &Fields<'_>) -> Result<Said, LanguageError> {
    Ok(Said {
        text: fields.text("text")?,
        tool_calls: parse("tool_calls", fields.bytes("tool_calls")?)?,
        logprobs: parse("logprobs", fields.bytes("logprobs")?)?,
        finish: Finish::from_bytes(fields.bytes("finish")?)?,
    })
}

/// A document that was written, or why not.
pub(crate) fn json(
    name: &'static str,
    written: serde_json::Result<Vec<u8>>,
) -> Result<Vec<u8>, LanguageError> {
    written.map_err(|error| LanguageError::Value {
        name,
        reason: error.to_string(),
    })
}

/// Reads a tensor that holds a JSON document.
pub(crate) fn parse<'a, T: Deserialize<'a>>(
    name: &'static str,
    bytes: &'a [u8],
) -> Result<T, LanguageError> {
    serde_json::from_slice(bytes).map_err(|error| LanguageError::Value {
        name,
        reason: match name {
            "prompt" => {
                "must be UTF-8 JSON: a string, or a list of {\"role\", \"content\"}".to_owned()
            }
            _ => format!("must be UTF-8 JSON (docs/formats/language.md): {error}"),
        },
    })
}

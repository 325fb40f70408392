//! `POST /v1/embeddings`: texts, and a vector for each; as a server and as a client.

use super::settings::LABELS;
use crate::{
    ApiError,
    document::extend,
    fields::Fields,
    upstream::{AnswerError, Sent, count, failure, model},
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use og_types::embedding::{MAX_TEXTS, MAX_VECTOR_LENGTH, Texts};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// How vectors are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As lists of numbers.
    #[default]
    Float,
    /// As base64 of 32-bit floating point numbers, the least significant byte first.
    Base64,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The model, as the client names it.
    pub model: String,
    /// The texts, at least one, none empty.
    pub texts: Vec<String>,
    /// How many numbers a vector should have; `None` for as many as the model gives.
    pub dimensions: Option<u32>,
    /// How vectors are written.
    pub encoding: Encoding,
}

/// Vectors, one for each text.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// The vectors.
    pub vectors: Vec<Vec<f32>>,
    /// The model; in an answer of another service, as that service names it, empty if it does not.
    pub model: String,
    /// Tokens of all texts, if they were counted.
    pub tokens: Option<u32>,
}

impl Request {
    /// Reads a body.
    ///
    /// # Errors
    /// [`ApiError`] names the parameter that is wrong, unknown or not supported.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::body(body)?;
        let dimensions = fields.integer("dimensions", 1..=MAX_VECTOR_LENGTH.into())?;
        let request = Self {
            model: fields.required_text("model")?,
            texts: texts(&mut fields)?,
            dimensions: dimensions.and_then(|count| u32::try_from(count).ok()),
            encoding: match fields.text("encoding_format")?.as_deref() {
                None | Some("float") => Encoding::Float,
                Some("base64") => Encoding::Base64,
                Some(_) => return Err(fields.invalid("encoding_format", "must be float or base64")),
            },
        };
        fields.ignore(&LABELS);
        fields.finish()?;
        Ok(request)
    }
}

/// What to send to another service, which calls the model `model`. Vectors come as lists of numbers.
pub fn sent(texts: &Texts, model: &str) -> Sent {
    let mut body = Map::from_iter([
        ("model".to_owned(), json!(model)),
        ("input".to_owned(), json!(texts.texts)),
    ]);
    if let Some(dimensions) = texts.dimensions {
        body.insert("dimensions".to_owned(), json!(dimensions));
    }
    Sent {
        path: "embeddings".to_owned(),
        body: Value::Object(body),
    }
}

/// A text or a list of texts.
fn texts(fields: &mut Fields) -> Result<Vec<String>, ApiError> {
    let path = fields.path("input");
    let reason = format!(
        "must be a string or a list of 1 to {MAX_TEXTS} strings, none empty: token ids are not supported"
    );
    let wrong = || ApiError::invalid(&path, &reason);
    let text = |value| match value {
        Value::String(text) if !text.is_empty() => Ok(text),
        _ => Err(wrong()),
    };
    match fields.value("input") {
        None => Err(fields.missing("input")),
        Some(Value::Array(texts)) if (1..=MAX_TEXTS).contains(&texts.len()) => {
            texts.into_iter().map(text).collect()
        }
        Some(value) => Ok(vec![text(value)?]),
    }
}

/// The body of an answer, with `extra` fields at the end. Tokens that nobody counted are 0: this API has no word for that.
pub fn whole(embedded: &Embedded, encoding: Encoding, extra: Map<String, Value>) -> Value {
    let data = embedded.vectors.iter().enumerate().map(|(index, vector)| {
        let written = match encoding {
            Encoding::Float => json!(vector),
            Encoding::Base64 => json!(base64(vector)),
        };
        json!({"object": "embedding", "index": index, "embedding": written})
    });
    let tokens = embedded.tokens.unwrap_or(0);
    let mut body = json!({
        "object": "list",
        "data": data.collect::<Vec<_>>(),
        "model": embedded.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    });
    extend(&mut body, extra);
    body
}

fn base64(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    BASE64_STANDARD.encode(bytes)
}

#[derive(Deserialize)]
struct Body {
    data: Vec<Entry>,
    model: Option<String>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Entry {
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Counts {
    prompt_tokens: Option<u64>,
}

/// Reads the answer of another service to so many texts.
///
/// # Errors
/// [`AnswerError::Form`] if it is no answer, or not one vector for each text, all of one length.
pub fn read(body: &[u8], texts: usize) -> Result<Embedded, AnswerError> {
    let form = |error: serde_json::Error| AnswerError::Form(error.to_string());
    let document: Value = serde_json::from_slice(body).map_err(form)?;
    if let Some(failure) = failure(&document) {
        return Err(AnswerError::Failed(failure));
    }
    let mut body: Body = serde_json::from_value(document).map_err(form)?;
    body.data.sort_by_key(|entry| entry.index);
    let numbered = body.data.iter().map(|entry| entry.index).eq(0..texts);
    let length = body.data.first().map_or(0, |entry| entry.embedding.len());
    let fits = |vector: &[f32]| {
        // What is too large for 32 bits becomes infinite.
        vector.len() == length && length > 0 && vector.iter().all(|number| number.is_finite())
    };
    if !numbered || !body.data.iter().all(|entry| fits(&entry.embedding)) {
        let reason =
            format!("it does not hold one vector for each of {texts} texts, all of one length");
        return Err(AnswerError::Form(reason));
    }
    let tokens = body.usage.and_then(|usage| usage.prompt_tokens);
    Ok(Embedded {
        vectors: body.data.into_iter().map(|entry| entry.embedding).collect(),
        model: model(body.model),
        tokens: count(tokens),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, value: Value) -> Result<Request, ApiError> {
        let mut body = json!({"model": "m", "input": "Hi"});
        body[name] = value;
        Request::parse(body.to_string().as_bytes())
    }

    #[test]
    fn requests_arrive_and_go_on() {
        let request = with("dimensions", json!(8)).unwrap();
        assert_eq!((request.texts.len(), request.dimensions), (1, Some(8)));
        let many = with("input", json!(["a", "b"])).unwrap();
        assert_eq!(many.texts, ["a", "b"]);
        assert_eq!(
            with("encoding_format", json!("base64")).unwrap().encoding,
            Encoding::Base64
        );
        let asked = Texts {
            texts: request.texts.clone(),
            dimensions: request.dimensions,
        };
        let sent = sent(&asked, "theirs").body.to_string();
        let expected = Request {
            model: "theirs".to_owned(),
            ..request
        };
        assert_eq!(Request::parse(sent.as_bytes()), Ok(expected));
        for (name, value) in [
            ("input", json!("")),
            ("input", json!([])),
            ("input", json!([1, 2])),
            ("input", json!([["a"]])),
            ("dimensions", json!(0)),
            ("encoding_format", json!("int8")),
            ("truncate", json!(true)),
        ] {
            let error = with(name, value).unwrap_err();
            assert_eq!(error.param.as_deref(), Some(name));
        }
    }

    #[test]
    fn answers_are_read_as_they_are_written() {
        let embedded = Embedded {
            vectors: vec![vec![1.0, -0.1], vec![0.5, 3e-8]],
            model: "m".to_owned(),
            tokens: Some(7),
        };
        let body = whole(&embedded, Encoding::Float, Map::new());
        assert_eq!(read(body.to_string().as_bytes(), 2), Ok(embedded.clone()));
        assert!(read(body.to_string().as_bytes(), 3).is_err());
        let body = whole(&embedded, Encoding::Base64, Map::new());
        assert_eq!(body["data"][0]["embedding"], "AACAP83MzL0=");
        assert_eq!(
            body["usage"],
            json!({"prompt_tokens": 7, "total_tokens": 7})
        );
        let uneven =
            json!({"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}]});
        assert!(read(uneven.to_string().as_bytes(), 2).is_err());
        for vector in [json!([]), json!([1e39]), json!(["1"])] {
            let one = json!({"data": [{"index": 0, "embedding": vector}]});
            assert!(read(one.to_string().as_bytes(), 1).is_err(), "{one}");
        }
    }
}

//! From the JSON of a request to the bytes whose hash is signed.
//!
//! Clients and gateways both build an object of the fields that count, and write it as CPython's
//! `json.dumps(sort_keys=True)` does. Other fields are not covered by the signature: they are left
//! out here, whatever is done with them elsewhere.

use crate::{
    json::{Object, Value},
    python::{dumps, str_of},
};

pub use crate::json::{MAX_DEPTH, MAX_INTEGER_DIGITS, MAX_VALUES};

/// Longest request that is read, in bytes: as much as the published gateway takes.
pub const MAX_REQUEST_BYTES: usize = 20 * 1024 * 1024;

/// Why a request has no canonical form. It is always the client's doing; messages quote nothing of
/// what it wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// It is longer than [`MAX_REQUEST_BYTES`].
    #[error("the request has {0} bytes: send at most {MAX_REQUEST_BYTES}")]
    Length(usize),
    /// It is not JSON in UTF-8, or has a lone surrogate.
    #[error("the request is not JSON: {reason}, at byte {offset}")]
    Json {
        /// What is wrong.
        reason: String,
        /// Where, in bytes from the start.
        offset: usize,
    },
    /// It is nested too deeply.
    #[error("the request is nested more than {MAX_DEPTH} deep")]
    Depth,
    /// It has too many values.
    #[error("the request has more than {MAX_VALUES} values")]
    Values,
    /// A number is beyond the range of a float.
    #[error("the request has a number that no float can hold")]
    Number,
    /// An integer is too long.
    #[error("the request has an integer of more than {MAX_INTEGER_DIGITS} digits")]
    Digits,
    /// A field is missing or not of the kind that it has to be.
    #[error("{field}: {problem}")]
    Field {
        /// The field, for example `messages[0].role`.
        field: String,
        /// What it has to be.
        problem: &'static str,
    },
}

/// The canonical bytes of a request to `/v1/chat/completions`.
///
/// # Errors
/// [`CanonicalError`], which says what the client has to change.
pub fn chat_request(body: &[u8]) -> Result<Vec<u8>, CanonicalError> {
    let body = object(body)?;
    let mut members = common_members(&body)?;
    members.push(("messages", Value::List(messages(&body)?)));
    if let Some(tools) = body.truthy("tools") {
        let Value::List(_) = tools else {
            return Err(wrong("tools", "it has to be a list"));
        };
        members.push(("tools", tools.clone()));
    }
    if let Some(format) = body.truthy("response_format") {
        members.push(("response_format", format.clone()));
    }
    if body.truthy("web_search").is_some() {
        members.push(("web_search", Value::Bool(true)));
    }
    Ok(bytes(members))
}

/// The canonical bytes of a request to `/v1/completions`.
///
/// # Errors
/// [`CanonicalError`], which says what the client has to change.
pub fn completion_request(body: &[u8]) -> Result<Vec<u8>, CanonicalError> {
    let body = object(body)?;
    let mut members = common_members(&body)?;
    match body.get("prompt") {
        None | Some(Value::Null) => return Err(wrong("prompt", "it is missing")),
        Some(prompt) => members.push(("prompt", prompt.clone())),
    }
    Ok(bytes(members))
}

type Members = Vec<(&'static str, Value)>;

fn object(body: &[u8]) -> Result<Object, CanonicalError> {
    if body.len() > MAX_REQUEST_BYTES {
        return Err(CanonicalError::Length(body.len()));
    }
    match Value::parse(body)? {
        Value::Object(object) => Ok(object),
        _ => Err(wrong("request", "it has to be a JSON object")),
    }
}

fn bytes(members: Members) -> Vec<u8> {
    let members = members.into_iter();
    let members = members.map(|(key, value)| (key.to_owned(), value));
    dumps(&Value::Object(Object::new(members.collect()))).into_bytes()
}

/// What requests of both kinds have: model, temperature, most tokens, and where to stop.
fn common_members(body: &Object) -> Result<Members, CanonicalError> {
    let model = match body.get("model") {
        Some(Value::String(model)) if !model.is_empty() => Value::text(model),
        _ => return Err(wrong("model", "it has to be a text that is not empty")),
    };
    let mut members = vec![("model", model), ("temperature", temperature(body)?)];
    match body.get("max_tokens") {
        None | Some(Value::Null) => {}
        Some(most) => members.push(("max_tokens", most.clone())),
    }
    if let Some(stop) = body.truthy("stop") {
        members.push(("stop", stop.clone()));
    }
    Ok(members)
}

/// Always a float, zero if there is none.
fn temperature(body: &Object) -> Result<Value, CanonicalError> {
    let temperature = match body.get("temperature") {
        None | Some(Value::Null) => 0.0,
        Some(Value::Float(value)) => *value,
        Some(Value::Integer(digits)) => digits.parse().unwrap_or(f64::INFINITY),
        Some(_) => return Err(wrong("temperature", "it has to be a number")),
    };
    match temperature.is_finite() {
        true => Ok(Value::Float(temperature)),
        false => Err(CanonicalError::Number),
    }
}

fn messages(body: &Object) -> Result<Vec<Value>, CanonicalError> {
    let Some(Value::List(messages)) = body.truthy("messages") else {
        return Err(wrong("messages", "it has to be a list that is not empty"));
    };
    let messages = messages.iter().enumerate();
    let messages = messages.map(|(index, message)| {
        let path = format!("messages[{index}]");
        match message {
            Value::Object(message) => message_value(message, &path),
            _ => Err(wrong(path, "it has to be an object")),
        }
    });
    messages.collect()
}

/// The part of a message that counts, by its role.
fn message_value(message: &Object, path: &str) -> Result<Value, CanonicalError> {
    let role = match message.get("role") {
        Some(Value::String(role)) => role.as_str(),
        _ => "",
    };
    let given = |key: &str| message.get(key).cloned().unwrap_or(Value::Null);
    let object = match role {
        "system" | "developer" => Object::of([
            ("role", Value::text("system")),
            ("content", given("content")),
        ]),
        "user" => Object::of([
            ("role", Value::text(role)),
            ("content", user_content(&given("content"), path)?),
        ]),
        "assistant" => assistant_message(message, path)?,
        "tool" => Object::of([
            ("role", Value::text(role)),
            ("content", given("content")),
            ("tool_call_id", given("tool_call_id")),
        ]),
        "function" => Object::of([
            ("role", Value::text(role)),
            ("content", given("content")),
            ("name", given("name")),
        ]),
        _ => {
            let problem = "it has to be system, developer, user, assistant, tool or function";
            return Err(wrong(format!("{path}.role"), problem));
        }
    };
    Ok(Value::Object(object))
}

/// Text is kept; of an attachment only its type and file name count.
fn user_content(content: &Value, path: &str) -> Result<Value, CanonicalError> {
    let problem = "it has to be a text or a list of parts";
    let as_text = |value: &Value, path: String| match str_of(value) {
        Some(text) => Ok(Value::String(text)),
        None => Err(wrong(path, problem)),
    };
    let Value::List(parts) = content else {
        return as_text(content, format!("{path}.content"));
    };
    let parts = parts.iter().enumerate().map(|(index, part)| match part {
        Value::Object(part) => Ok(content_part(part)),
        part => as_text(part, format!("{path}.content[{index}]")).map(text_part),
    });
    Ok(Value::List(parts.collect::<Result<_, CanonicalError>>()?))
}

fn text_part(text: Value) -> Value {
    Value::Object(Object::of([("type", Value::text("text")), ("text", text)]))
}

fn content_part(part: &Object) -> Value {
    let kind = part.get("type").cloned().unwrap_or(Value::Null);
    if matches!(&kind, Value::String(kind) if kind == "text") {
        let text = part.truthy("text").cloned();
        return text_part(text.unwrap_or(Value::text("")));
    }
    let in_file = match part.get("file") {
        Some(Value::Object(file)) => file.truthy("filename"),
        _ => None,
    };
    Value::Object(match in_file.or_else(|| part.truthy("filename")) {
        Some(name) => Object::of([("type", kind), ("filename", name.clone())]),
        None => Object::of([("type", kind)]),
    })
}

fn assistant_message(message: &Object, path: &str) -> Result<Object, CanonicalError> {
    let content = message.truthy("content").cloned();
    let mut members = vec![
        ("role".to_owned(), Value::text("assistant")),
        ("content".to_owned(), content.unwrap_or(Value::text(""))),
    ];
    if let Some(calls) = message.truthy("tool_calls") {
        let path = format!("{path}.tool_calls");
        let Value::List(calls) = calls else {
            return Err(wrong(path, "it has to be a list"));
        };
        let calls = calls.iter().map(|call| tool_call(call, &path));
        let calls = calls.collect::<Result<_, CanonicalError>>()?;
        members.push(("tool_calls".to_owned(), Value::List(calls)));
    }
    Ok(Object::new(members))
}

fn tool_call(call: &Value, path: &str) -> Result<Value, CanonicalError> {
    let empty = Object::default();
    let (call, function) = match call {
        Value::Object(call) => match call.get("function") {
            Some(Value::Object(function)) => (call, function),
            None => (call, &empty),
            Some(_) => return Err(wrong(path, "function of a call has to be an object")),
        },
        _ => return Err(wrong(path, "each call has to be an object")),
    };
    let or = |object: &Object, key: &str, default: &str| {
        object.get(key).cloned().unwrap_or(Value::text(default))
    };
    let function = Object::of([
        ("name", or(function, "name", "")),
        ("arguments", or(function, "arguments", "")),
    ]);
    Ok(Value::Object(Object::of([
        ("id", or(call, "id", "")),
        ("type", or(call, "type", "function")),
        ("function", Value::Object(function)),
    ])))
}

fn wrong(field: impl Into<String>, problem: &'static str) -> CanonicalError {
    CanonicalError::Field {
        field: field.into(),
        problem,
    }
}

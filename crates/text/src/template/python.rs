//! What templates expect of Python: how values print, `tojson`, `raise_exception`.

use minijinja::{
    Environment, Error, ErrorKind, Output, State, Value,
    value::{Kwargs, ValueKind},
};
use std::fmt::{self, Write as _};

/// Lists within lists that are printed.
const MAX_DEPTH: usize = 64;
/// Bytes of one printed value.
const MAX_PRINTED_BYTES: usize = 8 << 20;
/// Spaces that one level of JSON may be moved in.
const MAX_INDENT: usize = 16;

/// What a template said with `raise_exception`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Raised(pub(super) String);

/// Puts Python's conventions into an environment.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_function(
        "raise_exception",
        |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, "raised").with_source(Raised(message)))
        },
    );
    environment.add_filter("tojson", to_json);
    environment.set_formatter(print);
}

/// A JSON value as templates see it. The caller has bounded its depth.
pub(super) fn value(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(integer)) => Value::from(integer),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => list(items),
        Json::Object(fields) => Value::from_pairs(
            fields
                .iter()
                .map(|(name, field)| (name.as_str(), value(field))),
        ),
    }
}

/// A JSON array as templates see it.
pub(super) fn list(items: &[serde_json::Value]) -> Value {
    Value::from(items.iter().map(value).collect::<Vec<_>>())
}

fn print(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::None | ValueKind::Bool | ValueKind::Number | ValueKind::Seq | ValueKind::Map => {
            let mut text = String::new();
            representation(&mut text, value, 0)?;
            charge(state, text.len())?;
            Ok(out.write_str(&text)?)
        }
        _ => minijinja::escape_formatter(out, state, value),
    }
}

fn charge(state: &State<'_, '_>, bytes: usize) -> Result<(), Error> {
    state.consume_fuel(bytes as u64 / 8)
}

/// Stops what is nested too deep, and what prints too long: one list may be in another many times.
fn check_size(out: &str, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        let message = format!("a value nested deeper than {MAX_DEPTH} levels");
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    if out.len() > MAX_PRINTED_BYTES {
        return Err(Error::from(ErrorKind::OutOfFuel));
    }
    Ok(())
}

/// Python's `repr`, by which lists, dictionaries, numbers and constants print.
fn representation(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    check_size(out, depth)?;
    match value.kind() {
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => number(out, value),
        ValueKind::String => quote(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq => {
            out.push('[');
            for (index, item) in value.try_iter()?.enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                representation(out, &item, depth + 1)?;
            }
            out.push(']');
        }
        ValueKind::Map => {
            out.push('{');
            for (index, key) in value.try_iter()?.enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                representation(out, &key, depth + 1)?;
                out.push_str(": ");
                representation(out, &value.get_item(&key)?, depth + 1)?;
            }
            out.push('}');
        }
        _ => {
            let _ = write!(out, "{value}");
        }
    }
    Ok(())
}

fn quote(out: &mut String, text: &str) {
    let mark = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(mark);
    for character in text.chars() {
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            _ if character == mark => out.extend(['\\', mark]),
            _ if character.is_ascii_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push(mark);
}

/// A number as Python prints it: floats shortest, with an exponent from 10^16 on and below 10^-4.
fn number(out: &mut String, value: &Value) {
    let printed = if value.is_integer() {
        None
    } else {
        f64::try_from(value.clone()).ok()
    };
    let _ = match printed {
        None => write!(out, "{value}"),
        Some(float) if float.is_nan() => write!(out, "nan"),
        Some(float) if float.is_infinite() => {
            write!(out, "{}", if float > 0.0 { "inf" } else { "-inf" })
        }
        Some(float) if float != 0.0 && !(1e-4..1e16).contains(&float.abs()) => {
            exponential(out, float)
        }
        Some(float) => write!(out, "{float:?}"),
    };
}

fn exponential(out: &mut String, float: f64) -> fmt::Result {
    let text = format!("{float:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent
        .strip_prefix('-')
        .map_or(('+', exponent), |digits| ('-', digits));
    write!(out, "{mantissa}e{sign}{digits:0>2}")
}

/// How `json.dumps` is to print.
struct Json {
    indent: Option<usize>,
    item: String,
    key: String,
    ascii: bool,
    sorted: bool,
}

/// `tojson` of `transformers`: `json.dumps` without escapes for HTML and with letters as they are.
fn to_json(state: &State<'_, '_>, value: &Value, kwargs: Kwargs) -> Result<Value, Error> {
    let indent = kwargs.get::<Option<usize>>("indent")?;
    if indent.is_some_and(|indent| indent > MAX_INDENT) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("an indent above {MAX_INDENT}"),
        ));
    }
    let (item, key) = match kwargs.get::<Option<Vec<String>>>("separators")?.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        Some(_) => {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "separators must be two strings",
            ));
        }
        None => (
            if indent.is_some() { "," } else { ", " }.to_owned(),
            ": ".to_owned(),
        ),
    };
    let ascii = kwargs.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sorted = kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    kwargs.assert_all_used()?;
    let json = Json {
        indent,
        item,
        key,
        ascii,
        sorted,
    };
    let mut out = String::new();
    json.write(&mut out, value, 0)?;
    charge(state, out.len())?;
    Ok(Value::from(out))
}

impl Json {
    fn write(&self, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        check_size(out, depth)?;
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => number(out, value),
            ValueKind::String => self.string(out, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.map(|item| (None, item)).collect();
                self.list(out, ('[', ']'), items, depth)?;
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sorted {
                    keys.sort();
                }
                let items = keys
                    .into_iter()
                    .map(|key| Ok((Some(key.clone()), value.get_item(&key)?)));
                self.list(out, ('{', '}'), items.collect::<Result<_, Error>>()?, depth)?;
            }
            kind => {
                let message = format!("a value that is {kind} cannot be printed as JSON");
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
        }
        Ok(())
    }

    fn list(
        &self,
        out: &mut String,
        marks: (char, char),
        items: Vec<(Option<Value>, Value)>,
        depth: usize,
    ) -> Result<(), Error> {
        let line = |out: &mut String, depth: usize| {
            if let Some(indent) = self.indent {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', indent * depth));
            }
        };
        out.push(marks.0);
        let any = !items.is_empty();
        for (index, (key, item)) in items.into_iter().enumerate() {
            out.push_str(if index > 0 { &self.item } else { "" });
            line(out, depth + 1);
            if let Some(key) = key {
                match key.as_str() {
                    Some(text) => self.string(out, text),
                    None => {
                        let mut text = String::new();
                        self.write(&mut text, &key, depth + 1)?;
                        self.string(out, &text);
                    }
                }
                out.push_str(&self.key);
            }
            self.write(out, &item, depth + 1)?;
        }
        if any {
            line(out, depth);
        }
        out.push(marks.1);
        Ok(())
    }

    fn string(&self, out: &mut String, text: &str) {
        out.push('"');
        for character in text.chars() {
            match character {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{C}' => out.push_str("\\f"),
                _ if character < ' ' || (self.ascii && !character.is_ascii()) => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
                _ => out.push(character),
            }
        }
        out.push('"');
    }
}

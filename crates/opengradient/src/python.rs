//! Values as CPython writes them: `json.dumps(value, sort_keys=True)` and `str(value)`.

use crate::json::Value;
use std::fmt::Write as _;

/// `json.dumps(value, sort_keys=True)`: ASCII only, `", "` and `": "` between things.
pub(crate) fn dumps(value: &Value) -> String {
    let mut text = String::new();
    write_value(&mut text, value);
    text
}

/// `str(value)`, or `None` for lists and objects: Python writes them in a syntax of its own.
pub(crate) fn str_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("None".to_owned()),
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        Value::Integer(digits) => Some(digits.clone()),
        Value::Float(value) => Some(float(*value)),
        Value::String(text) => Some(text.clone()),
        Value::List(_) | Value::Object(_) => None,
    }
}

/// As deep as the value, which is bounded where it was read.
fn write_value(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Integer(digits) => text.push_str(digits),
        Value::Float(value) => text.push_str(&float(*value)),
        Value::String(string) => write_string(text, string),
        Value::List(values) => {
            text.push('[');
            for (index, value) in values.iter().enumerate() {
                separate(text, index);
                write_value(text, value);
            }
            text.push(']');
        }
        Value::Object(object) => {
            text.push('{');
            for (index, (key, value)) in object.members().iter().enumerate() {
                separate(text, index);
                write_string(text, key);
                text.push_str(": ");
                write_value(text, value);
            }
            text.push('}');
        }
    }
}

fn separate(text: &mut String, index: usize) {
    if index > 0 {
        text.push_str(", ");
    }
}

fn write_string(text: &mut String, string: &str) {
    text.push('"');
    let mut rest = string;
    loop {
        let plain = rest.bytes().position(|byte| !is_plain(byte));
        let (now, after) = rest.split_at(plain.unwrap_or(rest.len()));
        text.push_str(now);
        let mut characters = after.chars();
        let Some(character) = characters.next() else {
            break;
        };
        write_escaped(text, character);
        rest = characters.as_str();
    }
    text.push('"');
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn write_escaped(text: &mut String, character: char) {
    match character {
        '"' => text.push_str("\\\""),
        '\\' => text.push_str("\\\\"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        '\u{8}' => text.push_str("\\b"),
        '\u{c}' => text.push_str("\\f"),
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string does not fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
}

/// `repr(value)` of a finite float: the shortest digits that give it back, with an exponent if that
/// is below -4 or above 15.
fn float(value: f64) -> String {
    // As many digits as Rust takes, but of two that are equally near, the even one: Rust takes the
    // upper one where it looks for the shortest.
    let shortest = format!("{value:e}");
    let (digits, _) = shortest.split_once('e').unwrap_or((&shortest, ""));
    let decimals = digits.split_once('.').map_or(0, |(_, after)| after.len());
    let nearest = format!("{value:.decimals$e}");
    match nearest.split_once('e') {
        Some((digits, exponent)) => positioned(digits, exponent.parse().unwrap_or(0)),
        None => nearest,
    }
}

/// `digits`, one of them before the point, times ten to the power of `exponent`.
fn positioned(digits: &str, exponent: i32) -> String {
    let places = exponent.unsigned_abs() as usize;
    let (sign, digits) = digits.split_at(usize::from(digits.starts_with('-')));
    let mut plain = digits.replace('.', "");
    match exponent {
        -4..0 => format!("{sign}0.{}{plain}", "0".repeat(places.saturating_sub(1))),
        0..16 => {
            // At least one digit stands behind the point.
            let missing = (places + 2).saturating_sub(plain.len());
            plain.push_str(&"0".repeat(missing));
            plain.insert(places + 1, '.');
            format!("{sign}{plain}")
        }
        _ => {
            let direction = if exponent < 0 { '-' } else { '+' };
            format!("{sign}{digits}e{direction}{places:02}")
        }
    }
}

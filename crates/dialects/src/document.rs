//! Documents that are written: JSON objects, and fields that only some of them have.

use serde_json::{Map, Value};

/// Adds a field to an object, or replaces it. There is nothing to do for another value.
pub(crate) fn put(document: &mut Value, name: &str, value: impl Into<Value>) {
    if let Value::Object(map) = document {
        map.insert(name.to_owned(), value.into());
    }
}

/// Adds fields at the end of an object.
pub(crate) fn extend(document: &mut Value, extra: Map<String, Value>) {
    if let Value::Object(map) = document {
        map.extend(extra);
    }
}

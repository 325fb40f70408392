//! The parameters of a request, taken one by one; what nobody takes is refused.

use crate::{ApiError, fraction};
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// A JSON object whose fields are taken one by one. A field that is `null` is as good as absent.
#[derive(Debug)]
pub(crate) struct Fields {
    /// The way here from the body, with a dot at the end; empty for the body itself.
    path: String,
    map: Map<String, Value>,
}

impl Fields {
    /// The body of a request.
    pub(crate) fn body(bytes: &[u8]) -> Result<Self, ApiError> {
        let unreadable = |reason: String| {
            let message = format!("The body must be a JSON object: {reason}");
            ApiError::new(crate::Fault::Request, message)
        };
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(map)) => Ok(Self {
                path: String::new(),
                map,
            }),
            Ok(_) => Err(unreadable("it is another value".to_owned())),
            Err(error) => Err(unreadable(error.to_string())),
        }
    }

    /// An object that stands at `path`.
    pub(crate) fn at(path: &str, value: Value) -> Result<Self, ApiError> {
        match value {
            Value::Object(map) => Ok(Self {
                path: format!("{path}."),
                map,
            }),
            _ => Err(ApiError::invalid(path, "must be an object")),
        }
    }

    /// The way from the body to a field.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// A field as it stands, without taking it.
    pub(crate) fn peek(&self, name: &str) -> Option<&Value> {
        self.map.get(name)
    }

    /// A field, whatever it is.
    pub(crate) fn value(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.invalid(name, "must be a string")),
        }
    }

    /// A text that must be there.
    pub(crate) fn required_text(&mut self, name: &str) -> Result<String, ApiError> {
        self.text(name)?.ok_or_else(|| self.missing(name))
    }

    /// True or false.
    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.invalid(name, "must be true or false")),
        }
    }

    /// An integer within bounds.
    pub(crate) fn integer(
        &mut self,
        name: &str,
        bounds: RangeInclusive<i64>,
    ) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        match value.as_i64().filter(|number| bounds.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let (least, most) = bounds.into_inner();
                Err(self.invalid(name, &format!("must be an integer from {least} to {most}")))
            }
        }
    }

    /// A number as the nearest multiple of 2^-16, within bounds that are such multiples too.
    pub(crate) fn fraction(
        &mut self,
        name: &str,
        bounds: RangeInclusive<i64>,
    ) -> Result<Option<i64>, ApiError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let number = value.as_f64().map(fraction::read);
        match number.filter(|number| bounds.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let (least, most) = bounds.into_inner();
                let (least, most) = (fraction::write(least), fraction::write(most));
                Err(self.invalid(name, &format!("must be a number from {least} to {most}")))
            }
        }
    }

    /// A list, each element with the way to it.
    pub(crate) fn list(&mut self, name: &str) -> Result<Option<Vec<(String, Value)>>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Array(values)) => Ok(Some(elements(&self.path(name), values))),
            Some(_) => Err(self.invalid(name, "must be a list")),
        }
    }

    /// An object.
    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Self>, ApiError> {
        let path = self.path(name);
        self.value(name)
            .map(|value| Self::at(&path, value))
            .transpose()
    }

    /// Fields that change no answer, whatever they say.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.map.remove(*name);
        }
    }

    /// A field that may only say what happens anyway.
    pub(crate) fn fixed(
        &mut self,
        name: &str,
        accepted: &[Value],
        otherwise: &str,
    ) -> Result<(), ApiError> {
        match self.value(name) {
            Some(value) if !accepted.contains(&value) => {
                Err(ApiError::unsupported(self.path(name), otherwise))
            }
            _ => Ok(()),
        }
    }

    /// A published field that nothing can be done with.
    pub(crate) fn refuse(&mut self, name: &str, reason: &str) -> Result<(), ApiError> {
        self.fixed(name, &[], reason)
    }

    /// Nothing may be left. Fields that are `null` are as good as absent here too.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        let left = self.map.iter().find(|(_, value)| !value.is_null());
        match left {
            Some((name, _)) => Err(ApiError::unknown(self.path(name))),
            None => Ok(()),
        }
    }

    /// A field has a value that it cannot have.
    pub(crate) fn invalid(&self, name: &str, reason: &str) -> ApiError {
        ApiError::invalid(self.path(name), reason)
    }

    /// A field that must be there is not.
    pub(crate) fn missing(&self, name: &str) -> ApiError {
        ApiError::missing(self.path(name))
    }
}

/// The elements of the list at `path`, each with the way to it.
pub(crate) fn elements(path: &str, values: Vec<Value>) -> Vec<(String, Value)> {
    let element = |(index, value)| (format!("{path}[{index}]"), value);
    values.into_iter().enumerate().map(element).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use og_types::language::ONE;
    use serde_json::json;

    fn fields(value: Value) -> Fields {
        Fields::body(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn errors_name_the_way_to_the_field() {
        let mut outer = fields(json!({"tools": [{"function": {"name": 1, "odd": true}}]}));
        let (path, tool) = outer.list("tools").unwrap().unwrap().remove(0);
        let mut function = Fields::at(&path, tool)
            .unwrap()
            .object("function")
            .unwrap()
            .unwrap();
        let error = function.required_text("name").unwrap_err();
        assert_eq!(error.param.as_deref(), Some("tools[0].function.name"));
        assert_eq!(
            function.finish().unwrap_err(),
            ApiError::unknown("tools[0].function.odd")
        );
        assert_eq!(outer.finish(), Ok(()));
    }

    #[test]
    fn null_is_absent_and_bounds_are_kept() {
        let mut all = fields(json!({"a": null, "b": 1.5, "c": 2.1, "d": 3, "e": null}));
        assert_eq!(all.text("a"), Ok(None));
        assert_eq!(all.fraction("b", 0..=2 * ONE), Ok(Some(3 * ONE / 2)));
        let error = all.fraction("c", 0..=2 * ONE).unwrap_err();
        assert_eq!(error.message, "'c' must be a number from 0 to 2");
        let error = all.integer("d", 0..=2).unwrap_err();
        assert_eq!(error.message, "'d' must be an integer from 0 to 2");
        assert_eq!(all.finish(), Ok(()));
    }

    #[test]
    fn a_body_is_an_object() {
        for body in ["", "[]", "{", "{\"a\":1}x", &"[".repeat(1000)] {
            let error = Fields::body(body.as_bytes()).unwrap_err();
            assert!(error.message.starts_with("The body must be a JSON object"));
        }
    }
}

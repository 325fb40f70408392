//! Calls of tools in a model's text: how families of models write them, found while the text comes.
//!
//! Which family a model is of, its chat template says: it shows the model how to write calls, and writes earlier ones so.

use og_types::language::Piece;
use serde_json::{Deserializer, Value};

/// How a model writes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallForm {
    /// Hermes, Qwen: `<tool_call>{"name": …, "arguments": {…}}</tool_call>` for each, text before them or none.
    Tagged,
    /// Mistral: `[TOOL_CALLS][{"name": …, "arguments": {…}}, …]` at the end.
    Listed,
    /// Llama 3: the whole answer is `{"name": …, "parameters": {…}}`, or several with `;` between.
    Bare,
}

impl CallForm {
    /// The form that a template teaches; `None` if it knows no tools, or another form.
    pub(super) fn of(template: &str) -> Option<Self> {
        let has = |text: &str| template.contains(text);
        if has("[TOOL_CALLS]") && !has("[ARGS]") {
            Some(Self::Listed)
        } else if has("<tool_call>") && !has("<function=") && !has("<arg_key>") {
            Some(Self::Tagged)
        } else if has("\"parameters\": dictionary") || has("<|python_tag|>") {
            Some(Self::Bare)
        } else {
            None
        }
    }

    /// What calls stand between.
    pub(super) const fn marks(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Tagged => ("<tool_call>", Some("</tool_call>")),
            Self::Listed => ("[TOOL_CALLS]", None),
            Self::Bare => ("<|python_tag|>", None),
        }
    }

    /// What the arguments are called.
    pub(super) const fn arguments(self) -> &'static str {
        match self {
            Self::Tagged | Self::Listed => "arguments",
            Self::Bare => "parameters",
        }
    }

    /// The name of the `number`th call of a conversation. Mistral's templates take only nine letters or digits.
    fn id(self, number: usize) -> String {
        match self {
            Self::Listed => format!("{number:09}"),
            Self::Tagged | Self::Bare => format!("call_{number}"),
        }
    }
}

/// Finds calls in an answer's text.
#[derive(Debug)]
pub(super) struct CallReader {
    form: CallForm,
    /// Tools that may be called: what looks like a call of another one is text.
    names: Vec<String>,
    /// Whether several calls are wanted; if not, those after the first are left out.
    several: bool,
    /// The number of the next call.
    number: usize,
    /// Calls that were found.
    found: usize,
    /// Text that may yet become a call.
    held: String,
    place: Place,
}

/// Where in an answer the held text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nothing but white space came.
    Beginning,
    /// In text.
    Text,
    /// Behind the mark that opens calls.
    Call,
}

impl CallReader {
    /// A reader for an answer whose first call has this number.
    pub(super) const fn new(
        form: CallForm,
        names: Vec<String>,
        several: bool,
        number: usize,
    ) -> Self {
        Self {
            form,
            names,
            several,
            number,
            found: 0,
            held: String::new(),
            place: Place::Beginning,
        }
    }

    /// Whether a call was found.
    pub(super) const fn has_called(&self) -> bool {
        self.found > 0
    }

    /// Takes more of the text; what is certain now is added to `pieces`.
    pub(super) fn push(&mut self, text: &str, pieces: &mut Vec<Piece>) {
        self.held.push_str(text);
        loop {
            let more = match self.place {
                Place::Beginning => self.begin(),
                Place::Text => self.text(pieces),
                Place::Call => self.close(pieces),
            };
            if !more {
                return;
            }
        }
    }

    /// Takes the end of the text.
    pub(super) fn finish(&mut self, pieces: &mut Vec<Piece>) {
        let held = std::mem::take(&mut self.held);
        if self.place == Place::Call {
            self.calls(&held, pieces);
        } else if self.found == 0 || !held.trim().is_empty() {
            say(&held, pieces);
        }
    }

    /// Whether the answer begins with a call that has no mark. Gives whether there is more to see.
    fn begin(&mut self) -> bool {
        let rest = self.held.trim_start();
        if rest.is_empty() {
            return false;
        }
        let bare = self.form == CallForm::Bare && rest.starts_with('{');
        self.place = if bare { Place::Call } else { Place::Text };
        true
    }

    /// Hands out text up to a mark. Gives whether there is more to see.
    fn text(&mut self, pieces: &mut Vec<Piece>) -> bool {
        let (open, _) = self.form.marks();
        if let Some(start) = self.held.find(open) {
            // White space before a call belongs to neither, if it is one.
            let end = self.held[..start].trim_end().len();
            say(&self.held[..end], pieces);
            self.held.drain(..end);
            self.place = Place::Call;
            return true;
        }
        let begun = (1..open.len()).rev();
        let begun = begun
            .into_iter()
            .find(|length| self.held.ends_with(&open[..*length]));
        let certain = &self.held[..self.held.len() - begun.unwrap_or(0)];
        let end = certain.trim_end().len();
        say(&self.held[..end], pieces);
        self.held.drain(..end);
        false
    }

    /// Hands out a call that is complete. Gives whether there is more to see.
    fn close(&mut self, pieces: &mut Vec<Piece>) -> bool {
        let Some(close) = self.form.marks().1 else {
            return false;
        };
        let Some(end) = self.held.find(close) else {
            return false;
        };
        let call: String = self.held.drain(..end + close.len()).collect();
        self.calls(&call, pieces);
        self.place = Place::Text;
        true
    }

    /// Calls between their marks, or text if they are none.
    fn calls(&mut self, marked: &str, pieces: &mut Vec<Piece>) {
        let (open, close) = self.form.marks();
        let trimmed = marked.trim();
        let inner = trimmed.strip_prefix(open).unwrap_or(trimmed);
        let inner = close.map_or(inner, |close| inner.strip_suffix(close).unwrap_or(inner));
        let Some(calls) = self.parse(inner) else {
            say(marked, pieces);
            return;
        };
        for (name, arguments) in calls {
            if self.found > 0 && !self.several {
                return;
            }
            let id = self.form.id(self.number);
            pieces.extend([Piece::Call { id, name }, Piece::Arguments(arguments)]);
            self.number += 1;
            self.found += 1;
        }
    }

    /// The calls that a text is, all of it; `None` if it is anything else.
    fn parse(&self, text: &str) -> Option<Vec<(String, String)>> {
        let mut values = vec![];
        let mut rest = text.trim();
        while !rest.is_empty() {
            let mut document = Deserializer::from_str(rest).into_iter::<Value>();
            values.push(document.next()?.ok()?);
            rest = rest.get(document.byte_offset()..)?.trim_start();
            rest = rest.strip_prefix(';').unwrap_or(rest).trim_start();
        }
        let values = match (self.form, &mut values[..]) {
            (CallForm::Listed, [Value::Array(calls)]) => std::mem::take(calls),
            (CallForm::Listed, _) => return None,
            (CallForm::Tagged, [_]) | (CallForm::Bare, _) => values,
            (CallForm::Tagged, _) => return None,
        };
        let calls: Option<Vec<_>> = values.into_iter().map(|value| self.call(value)).collect();
        calls.filter(|calls| !calls.is_empty())
    }

    /// A call of a tool that may be called: its name, and its arguments as the text of an object.
    fn call(&self, mut value: Value) -> Option<(String, String)> {
        let call = value.as_object_mut()?;
        let name = call.get("name")?.as_str()?.to_owned();
        let arguments = match call
            .remove("arguments")
            .or_else(|| call.remove("parameters"))
        {
            None | Some(Value::Null) => "{}".to_owned(),
            Some(Value::String(text)) => {
                let object = serde_json::from_str::<Value>(&text).ok()?;
                object.is_object().then_some(text)?
            }
            Some(object) => object.is_object().then(|| object.to_string())?,
        };
        self.names.contains(&name).then_some((name, arguments))
    }
}

fn say(text: &str, pieces: &mut Vec<Piece>) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

#[cfg(test)]
mod tests;

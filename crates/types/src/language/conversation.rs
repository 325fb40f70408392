//! What a language model is given to go on from: texts, turns of a conversation, tools.

use serde::{Deserialize, Serialize};

/// What a model is given to go on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Prompt {
    /// Text as it is.
    Text(String),
    /// A conversation, written out by the model's own chat template.
    Messages(Vec<Message>),
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant` or `tool`, and what else the template knows.
    pub role: String,
    /// What was said.
    pub content: Content,
    /// Name of the speaker, where there are several of one role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What an assistant called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Which call a tool answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl Message {
    /// A turn that is text.
    pub fn text(role: &str, text: &str) -> Self {
        Self {
            role: role.to_owned(),
            content: Content::Text(text.to_owned()),
            name: None,
            tool_calls: vec![],
            tool_call_id: None,
        }
    }
}

/// What was said in one turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// Text.
    Text(String),
    /// Texts and pictures, in order.
    Parts(Vec<Part>),
}

impl Content {
    /// The text, if there is nothing else: parts follow one another without anything between.
    pub fn as_text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Parts(parts) => parts.iter().map(Part::as_text).collect(),
        }
    }

    /// The place of the first picture among the parts.
    pub fn picture(&self) -> Option<usize> {
        match self {
            Self::Text(_) => None,
            Self::Parts(parts) => parts.iter().position(|part| part.as_text().is_none()),
        }
    }
}

/// A part of a turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// A picture.
    Image {
        /// Where it is: `https:`, or `data:` with the picture itself.
        url: String,
        /// How closely to look: `low`, `high` or `auto`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
}

impl Part {
    fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text } => Some(text),
            Self::Image { .. } => None,
        }
    }
}

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does, for the model to read; may be empty.
    #[serde(default)]
    pub description: String,
    /// JSON schema of its arguments, an object.
    pub parameters: serde_json::Value,
    /// Whether arguments must follow the schema to the letter.
    #[serde(default)]
    pub strict: bool,
}

/// A call of a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    /// Name of the call, by which the tool's answer refers to it.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments: the text of a JSON object.
    pub arguments: String,
}

/// Which tools the answer may call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// As the model finds right.
    #[default]
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// The one of this name.
    Tool(String),
}

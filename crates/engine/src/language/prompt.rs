//! A conversation as chat templates know it: OpenAI's objects, as `transformers` hands them over.

use super::constraint::refused;
use crate::backend::RunError;
use og_text::Conversation;
use og_types::language::{Message, Tool, ToolCall};
use serde_json::{Value, json};

/// What a template is given. The date is always the same one, so that the same conversation gives the same prompt.
///
/// # Errors
/// [`RunError::Refused`] if it holds pictures.
pub(super) fn conversation(
    template: &str,
    messages: &[Message],
    tools: &[Tool],
) -> Result<Conversation, RunError> {
    // A template that does not mention the role would drop it, or refuse it.
    let knows_developers = template.contains("developer");
    let turn = |(index, message)| turn(index, message, knows_developers);
    Ok(Conversation {
        messages: messages
            .iter()
            .enumerate()
            .map(turn)
            .collect::<Result<_, _>>()?,
        tools: tools.iter().map(tool).collect(),
        add_generation_prompt: true,
        ..Conversation::default()
    })
}

fn turn(index: usize, message: &Message, knows_developers: bool) -> Result<Value, RunError> {
    let content = message.content.as_text().ok_or_else(|| {
        let part = message.content.picture().unwrap_or_default();
        let path = format!("prompt[{index}].content[{part}]");
        refused(&path, "is a picture, and the model reads text only")
    })?;
    let role = match message.role.as_str() {
        "developer" if !knows_developers => "system",
        role => role,
    };
    let mut turn = json!({ "role": role, "content": content });
    if let Some(name) = &message.name {
        turn["name"] = json!(name);
    }
    if !message.tool_calls.is_empty() {
        turn["tool_calls"] = message.tool_calls.iter().map(called).collect();
    }
    if let Some(id) = &message.tool_call_id {
        turn["tool_call_id"] = json!(id);
    }
    Ok(turn)
}

/// A call. Templates write its arguments out themselves, so they get an object, not its text.
fn called(call: &ToolCall) -> Value {
    let object = serde_json::from_str::<Value>(&call.arguments);
    let arguments = object.unwrap_or_else(|_| json!(call.arguments));
    let function = json!({ "name": call.name, "arguments": arguments });
    json!({ "id": call.id, "type": "function", "function": function })
}

fn tool(tool: &Tool) -> Value {
    let Tool {
        name,
        description,
        parameters,
        ..
    } = tool;
    let function = json!({ "name": name, "description": description, "parameters": parameters });
    json!({ "type": "function", "function": function })
}

#[cfg(test)]
mod tests {
    use super::*;
    use og_types::language::{Content, Part};

    #[test]
    fn turns_are_openais_with_arguments_as_objects() {
        let call = ToolCall {
            id: "call_0".to_owned(),
            name: "look".to_owned(),
            arguments: "{\"at\":1}".to_owned(),
        };
        let messages = [
            Message::text("developer", "Be brief."),
            Message {
                tool_calls: vec![call],
                ..Message::text("assistant", "")
            },
            Message {
                tool_call_id: Some("call_0".to_owned()),
                ..Message::text("tool", "a cat")
            },
        ];
        let tools = [Tool {
            name: "look".to_owned(),
            description: "Looks.".to_owned(),
            parameters: json!({ "type": "object" }),
            strict: true,
        }];
        let given = conversation("{{ messages }}", &messages, &tools).unwrap();
        assert_eq!(given.messages[0]["role"], "system");
        let call = &given.messages[1]["tool_calls"][0];
        assert_eq!(call["function"]["arguments"], json!({ "at": 1 }));
        assert_eq!(given.messages[2]["tool_call_id"], "call_0");
        assert_eq!(given.tools[0]["function"]["description"], "Looks.");
        let given = conversation("role == 'developer'", &messages, &[]).unwrap();
        assert_eq!(given.messages[0]["role"], "developer");
    }

    #[test]
    fn texts_are_joined_and_pictures_refused() {
        let text = |text: &str| Part::Text {
            text: text.to_owned(),
        };
        let picture = Part::Image {
            url: "https://example/a.png".to_owned(),
            detail: None,
        };
        let message = |parts| Message {
            content: Content::Parts(parts),
            ..Message::text("user", "")
        };
        let given = conversation("", &[message(vec![text("a"), text("b")])], &[]).unwrap();
        assert_eq!(given.messages[0]["content"], "ab");
        let refused = conversation("", &[message(vec![text("a"), picture])], &[]).unwrap_err();
        let RunError::Refused(refusal) = refused else {
            panic!("{refused}");
        };
        assert_eq!(refusal.input.as_deref(), Some("prompt[0].content[1]"));
    }
}

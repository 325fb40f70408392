//! Bodies that published clients wrote (`tests/vectors/README.md`).

use og_dialects::{
    ApiError, anthropic,
    openai::{Defaults, chat, completions, embeddings, responses},
};
use og_types::language::{
    Content, Format, Message, ONE, Part, Prompt, Question, Tool, ToolCall, ToolChoice,
};
use serde_json::json;
use std::{fs, path::PathBuf};

pub(crate) fn vectors() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors"))
}

/// A body that a client wrote.
pub(crate) fn body(name: &str) -> Vec<u8> {
    fs::read(vectors().join("requests").join(name)).unwrap()
}

fn look() -> Tool {
    Tool {
        name: "look".to_owned(),
        description: "Looks at a place.".to_owned(),
        parameters: json!({"type": "object", "properties": {"at": {"type": "integer"}}, "required": ["at"], "additionalProperties": false}),
        strict: true,
    }
}

pub(crate) fn called() -> ToolCall {
    ToolCall {
        id: "call_1".to_owned(),
        name: "look".to_owned(),
        arguments: "{\"at\":1}".to_owned(),
    }
}

fn conversation() -> Vec<Message> {
    let mut user = Message::text("user", "");
    let text = "What is there?".to_owned();
    let url = "data:image/png;base64,iVBORw0KGgo=".to_owned();
    user.content = Content::Parts(vec![Part::Text { text }, Part::Image { url, detail: None }]);
    let mut assistant = Message::text("assistant", "Let me look.");
    assistant.tool_calls = vec![called()];
    let mut tool = Message::text("tool", "A cat");
    tool.tool_call_id = Some("call_1".to_owned());
    vec![Message::text("system", "Be brief"), user, assistant, tool]
}

/// What is asked in the requests that clients wrote.
pub(crate) fn question() -> Question {
    Question {
        temperature: ONE / 2,
        max_tokens: Some(64),
        top_p: ONE * 3 / 4,
        tools: vec![look()],
        ..Question::new(Prompt::Messages(conversation()))
    }
}

#[test]
fn what_openais_client_writes_is_understood() {
    let request = chat::Request::parse(&body("openai_chat.json"), Defaults::OPENAI).unwrap();
    let asked = Question {
        stop: vec!["END".to_owned()],
        frequency_penalty: ONE / 4,
        presence_penalty: -ONE / 4,
        format: Format::JsonObject,
        tool_choice: ToolChoice::Tool("look".to_owned()),
        parallel_tool_calls: false,
        logprobs: Some(2),
        ..question()
    };
    assert_eq!(request.question, asked);
    assert_eq!(
        (
            request.seed,
            request.choices,
            request.stream,
            request.include_usage
        ),
        (Some(7), 2, true, true)
    );
    let request = chat::Request::parse(&body("openai_parse.json"), Defaults::OPENAI).unwrap();
    assert!(
        matches!(request.question.format, Format::JsonSchema(schema) if schema["additionalProperties"] == false)
    );
    let request =
        completions::Request::parse(&body("openai_completion.json"), Defaults::OPENAI).unwrap();
    assert_eq!(
        (request.questions.len(), request.questions[0].logprobs),
        (2, Some(1))
    );
    let request = embeddings::Request::parse(&body("openai_embeddings.json")).unwrap();
    assert_eq!(
        request.encoding,
        embeddings::Encoding::Base64,
        "what the client asks for by itself"
    );
}

#[test]
fn what_openais_client_writes_to_responses_is_understood() {
    let request = responses::Request::parse(&body("openai_responses.json")).unwrap();
    let mut asked = Question {
        logprobs: Some(2),
        ..question()
    };
    let Prompt::Messages(messages) = &mut asked.prompt else {
        unreachable!("a conversation")
    };
    // This API says how closely to look, and writes texts of answers as parts.
    let Content::Parts(parts) = &mut messages[1].content else {
        unreachable!("parts")
    };
    if let Part::Image { detail, .. } = &mut parts[1] {
        *detail = Some("auto".to_owned());
    }
    let text = "Let me look.".to_owned();
    messages[2].content = Content::Parts(vec![Part::Text { text }]);
    assert_eq!(request.question, asked);
}

#[test]
fn what_anthropics_client_writes_is_understood() {
    let request = anthropic::Request::parse(&body("anthropic_messages.json")).unwrap();
    let mut asked = question();
    asked.stop = vec!["END".to_owned()];
    asked.tool_choice = ToolChoice::Required;
    asked.parallel_tool_calls = false;
    // It has no temperature any more.
    asked.temperature = ONE;
    asked.top_p = ONE;
    let Prompt::Messages(messages) = &mut asked.prompt else {
        unreachable!("a conversation")
    };
    let text = "Let me look.".to_owned();
    messages[2].content = Content::Parts(vec![Part::Text { text }]);
    assert_eq!(request.question, asked);
    let count = anthropic::Request::parse_count(&body("anthropic_count.json")).unwrap();
    assert_eq!(count.question.tools.len(), 1);
}

/// Reads a body with the parser of its path.
fn parse(path: &str, body: &[u8]) -> Result<(), ApiError> {
    match path {
        "chat_completions" => chat::Request::parse(body, Defaults::OPENAI).map(drop),
        "completions" => completions::Request::parse(body, Defaults::OPENAI).map(drop),
        "embeddings" => embeddings::Request::parse(body).map(drop),
        "messages" => anthropic::Request::parse(body).map(drop),
        "responses" => responses::Request::parse(body).map(drop),
        other => panic!("no parser for {other}"),
    }
}

#[test]
fn what_other_clients_write_is_understood() {
    let files = fs::read_dir(vectors().join("clients")).unwrap();
    let mut referring = 0;
    for file in files {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        let (path, _) = name.split_once('.').unwrap();
        match parse(path, &fs::read(file.path()).unwrap()) {
            Ok(()) => {}
            // The AI SDK refers to answers where it is not told that they are not kept.
            Err(error) if error.message.contains("item_reference") => referring += 1,
            Err(error) => panic!("{name}: {error}"),
        }
    }
    assert_eq!(referring, 1);
}

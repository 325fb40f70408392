//! Requests that clients send, requests that are refused, and answers.

use super::*;
use crate::{ApiError, Fault, Head};
use og_types::language::{
    Content, Finish, Format, Message, ONE, Part, Piece, PieceError, Prompt, Question, Said, Tool,
    ToolCall, ToolChoice,
};
use serde_json::Map;

fn with(name: &str, value: Value) -> Result<Request, ApiError> {
    let turns = json!([{"role": "user", "content": "Hi"}]);
    let mut body = json!({"model": "m", "max_tokens": 9, "messages": turns});
    body[name] = value;
    Request::parse(body.to_string().as_bytes())
}

fn turns(messages: Value) -> Result<Vec<Message>, ApiError> {
    match with("messages", messages)?.question.prompt {
        Prompt::Messages(messages) => Ok(messages),
        Prompt::Text(_) => panic!("this API asks with messages"),
    }
}

#[test]
fn every_setting_arrives() {
    let body = json!({
        "model": "m", "max_tokens": 9, "stream": true,
        "system": [{"type": "text", "text": "Be brief", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.5, "top_p": 0.25, "top_k": 3, "stop_sequences": ["a"],
        "metadata": {"user_id": "u"}, "thinking": {"type": "disabled"}, "service_tier": "auto",
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        "tools": [{"name": "look", "description": "Looks", "input_schema": {"type": "object"}, "cache_control": null}],
        "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": true},
    });
    let request = Request::parse(body.to_string().as_bytes()).unwrap();
    let text = "Be brief".to_owned();
    let system = Message {
        content: Content::Parts(vec![Part::Text { text }]),
        ..Message::text("system", "")
    };
    let question = Question {
        max_tokens: Some(9),
        temperature: ONE / 2,
        top_p: ONE / 4,
        top_k: 3,
        stop: vec!["a".to_owned()],
        format: Format::JsonSchema(json!({"type": "object"})),
        tools: vec![Tool {
            name: "look".to_owned(),
            description: "Looks".to_owned(),
            parameters: json!({"type": "object"}),
            strict: false,
        }],
        tool_choice: ToolChoice::Tool("look".to_owned()),
        parallel_tool_calls: false,
        ..Question::new(Prompt::Messages(vec![system, Message::text("user", "Hi")]))
    };
    assert_eq!((request.question, request.stream), (question, true));
    assert_eq!(
        with("top_k", Value::Null).unwrap().question.temperature,
        ONE
    );
}

#[test]
fn tools_answer_in_turns_of_their_own() {
    let messages = turns(json!([
        {"role": "user", "content": "What is there?"},
        {"role": "assistant", "content": [
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 1}},
            {"type": "tool_use", "id": "t2", "name": "look", "input": {}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": "A cat"},
            {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "dark"}], "is_error": true},
            {"type": "text", "text": "Well?"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
        ]},
    ]));
    let messages = messages.unwrap();
    let [_, assistant, first, second, user] = &messages[..] else {
        panic!("five turns: {messages:?}")
    };
    assert_eq!(assistant.content.as_text().as_deref(), Some("Let me look."));
    assert_eq!(assistant.tool_calls[0].arguments, r#"{"at":1}"#);
    assert_eq!(first.tool_call_id.as_deref(), Some("t1"));
    assert_eq!(first.content, Content::Text("A cat".to_owned()));
    assert_eq!(second.content.as_text().as_deref(), Some("Error: dark"));
    let picture = Part::Image {
        url: "data:image/png;base64,QUJD".to_owned(),
        detail: None,
    };
    let text = "Well?".to_owned();
    assert_eq!(
        user.content,
        Content::Parts(vec![Part::Text { text }, picture])
    );
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    for (name, value, param) in [
        ("max_tokens", Value::Null, "max_tokens"),
        ("messages", json!([]), "messages"),
        (
            "messages",
            json!([{"role": "assistant", "content": "{"}]),
            "messages",
        ),
        (
            "messages",
            json!([{"role": "tool", "content": "{"}]),
            "messages[0].role",
        ),
        (
            "messages",
            json!([{"role": "user", "content": [{"type": "document"}]}]),
            "messages[0].content[0].type",
        ),
        (
            "messages",
            json!([{"role": "user", "content": [{"type": "text", "text": "", "x": 1}]}]),
            "messages[0].content[0].x",
        ),
        ("temperature", json!(1.5), "temperature"),
        (
            "thinking",
            json!({"type": "enabled", "budget_tokens": 1024}),
            "thinking",
        ),
        (
            "output_config",
            json!({"effort": "low"}),
            "output_config.effort",
        ),
        (
            "tools",
            json!([{"type": "web_search_20250305", "name": "web_search"}]),
            "tools[0].type",
        ),
        ("tool_choice", json!({"type": "any"}), "tool_choice"),
        ("container", json!("c"), "container"),
        ("mcp_servers", json!([]), "mcp_servers"),
        ("service_tier", json!("priority"), "service_tier"),
    ] {
        let error = with(name, value.clone()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{name}: {value}");
    }
}

#[test]
fn tokens_are_counted_without_a_bound() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    let request = Request::parse_count(body.to_string().as_bytes()).unwrap();
    assert_eq!(request.model, "m");
    assert_eq!(count(7), json!({"input_tokens": 7}));
}

fn head() -> Head {
    Head {
        id: "msg_1".to_owned(),
        created: 7,
        model: "m".to_owned(),
    }
}

fn said() -> Said {
    Said {
        text: "Well".to_owned(),
        tool_calls: vec![ToolCall {
            id: "t1".to_owned(),
            name: "look".to_owned(),
            arguments: "{\"at\":1}".to_owned(),
        }],
        logprobs: vec![],
        finish: Finish::ToolCalls,
    }
}

const USAGE: Usage = Usage {
    prompt_tokens: 10,
    answer_tokens: 20,
};

#[test]
fn a_whole_answer_has_anthropics_shape() {
    let extra = Map::from_iter([("og_receipt".to_owned(), json!("r"))]);
    assert_eq!(
        whole(&head(), &said(), &[], Some(USAGE), extra).unwrap(),
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
            "content": [
                {"type": "text", "text": "Well"},
                {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 1}},
            ],
            "stop_reason": "tool_use", "stop_sequence": null,
            "usage": {"input_tokens": 10, "output_tokens": 20},
            "og_receipt": "r",
        })
    );
    let mut cut = said();
    cut.tool_calls[0].arguments = "{\"at\":".to_owned();
    let error = whole(&head(), &cut, &[], None, Map::new()).unwrap_err();
    assert_eq!(error.fault, Fault::Upstream);
    cut.finish = Finish::Length;
    let body = whole(&head(), &cut, &[], None, Map::new()).unwrap();
    assert_eq!(
        (&body["stop_reason"], &body["content"][1]["input"]),
        (&json!("max_tokens"), &json!({}))
    );
}

#[test]
fn a_stream_is_blocks_that_begin_grow_and_end() {
    let mut stream = Stream::new(head(), vec![]);
    let mut frames = stream.pieces(&said().pieces()).unwrap();
    let extra = Map::from_iter([("og_receipt".to_owned(), json!("r"))]);
    frames += &stream.end(Finish::ToolCalls, Some(USAGE), extra);
    let events = frames.split_terminator("\n\n").map(|frame| {
        let (event, data) = frame.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(event.strip_prefix("event: "), data["type"].as_str());
        data
    });
    let mut events: Vec<_> = events.collect();
    let start = events.remove(0);
    assert_eq!(
        (&start["type"], &start["message"]["content"]),
        (&json!("message_start"), &json!([]))
    );
    let call = json!({"type": "tool_use", "id": "t1", "name": "look", "input": {}});
    assert_eq!(
        events,
        [
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Well"}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "content_block_start", "index": 1, "content_block": call}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{\"at\":1}"}}),
            json!({"type": "content_block_stop", "index": 1}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"input_tokens": 10, "output_tokens": 20}, "og_receipt": "r"}),
            json!({"type": "message_stop"}),
        ]
    );
    let early = Stream::new(head(), vec![]).pieces(&[Piece::Arguments("{}".to_owned())]);
    assert_eq!(early, Err(PieceError::NoCall));
}

#[test]
fn the_stop_string_that_ended_an_answer_is_told() {
    let stops = ["a".to_owned(), "b".to_owned()];
    let stopped = Said {
        text: "x".to_owned(),
        finish: Finish::StopString(1),
        ..Said::empty()
    };
    let body = whole(&head(), &stopped, &stops, None, Map::new()).unwrap();
    assert_eq!(
        (&body["stop_reason"], &body["stop_sequence"]),
        (&json!("stop_sequence"), &json!("b"))
    );
    let stream = Stream::new(head(), stops.to_vec());
    let end = stream.end(Finish::StopString(0), None, Map::new());
    let told = r#""delta":{"stop_reason":"stop_sequence","stop_sequence":"a"}"#;
    assert!(end.contains(told), "{end}");
}

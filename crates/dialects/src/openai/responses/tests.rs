//! Requests that clients send, requests that are refused, and answers.

use super::*;
use crate::{Fault, Head, Usage};
use og_types::language::{
    Alternative, Content, Finish, Logprob, Message, Part, Piece, PieceError, Said, Tool, ToolCall,
    ToolChoice,
};
use serde_json::{Map, Value};

fn with(name: &str, value: Value) -> Result<Request, ApiError> {
    let mut body = json!({"model": "m", "input": "Hi"});
    body[name] = value;
    Request::parse(body.to_string().as_bytes())
}

fn turns(input: Value) -> Vec<Message> {
    match with("input", input).unwrap().question.prompt {
        Prompt::Messages(messages) => messages,
        Prompt::Text(_) => panic!("this API asks with messages"),
    }
}

#[test]
fn every_setting_arrives() {
    let body = json!({
        "model": "m", "input": "Hi", "instructions": "Be brief", "stream": true,
        "temperature": 0.5, "top_p": 0.25, "max_output_tokens": 9, "store": false, "truncation": "disabled",
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content"], "top_logprobs": 2,
        "text": {"format": {"type": "json_schema", "name": "n", "strict": true, "schema": {"type": "object"}}},
        "tools": [{"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": null}],
        "tool_choice": {"type": "function", "name": "look"}, "parallel_tool_calls": false,
        "reasoning": {"effort": null}, "metadata": {"a": "b"},
    });
    let request = Request::parse(body.to_string().as_bytes()).unwrap();
    let messages = vec![
        Message::text("system", "Be brief"),
        Message::text("user", "Hi"),
    ];
    let question = Question {
        max_tokens: Some(9),
        temperature: ONE / 2,
        top_p: ONE / 4,
        format: Format::JsonSchema(json!({"type": "object"})),
        tools: vec![Tool {
            name: "look".to_owned(),
            description: String::new(),
            parameters: json!({"type": "object"}),
            strict: false,
        }],
        tool_choice: ToolChoice::Tool("look".to_owned()),
        parallel_tool_calls: false,
        logprobs: Some(2),
        ..Question::new(Prompt::Messages(messages))
    };
    assert_eq!((request.question, request.stream), (question, true));
    let plain = with("user", Value::Null).unwrap().question;
    assert_eq!((plain.temperature, plain.max_tokens), (ONE, None));
}

#[test]
fn items_become_turns() {
    let messages = turns(json!([
        {"role": "developer", "content": "Be brief"},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": "https://example.org/a.png", "detail": "auto"},
        ]},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [
            {"type": "output_text", "text": "Let me look.", "annotations": [], "logprobs": []},
        ]},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": "{}", "status": "completed"},
        {"type": "function_call", "call_id": "c2", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "A cat"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "dark"}]},
        {"type": "function_call", "call_id": "c3", "name": "look", "arguments": "{}"},
    ]));
    let roles: Vec<_> = messages
        .iter()
        .map(|message| message.role.as_str())
        .collect();
    assert_eq!(
        roles,
        ["system", "user", "assistant", "tool", "tool", "assistant"]
    );
    assert_eq!(
        messages[2].content.as_text().as_deref(),
        Some("Let me look.")
    );
    assert_eq!(messages[2].tool_calls.len(), 2);
    assert_eq!(messages[3].tool_call_id.as_deref(), Some("c1"));
    assert_eq!(messages[4].content.as_text().as_deref(), Some("dark"));
    assert_eq!(messages[5].tool_calls[0].id, "c3");
    let Content::Parts(parts) = &messages[1].content else {
        panic!("parts")
    };
    assert!(matches!(&parts[1], Part::Image { detail: Some(detail), .. } if detail == "auto"));
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    let image = json!({"type": "input_image", "file_id": "f"});
    for (name, value, param) in [
        ("input", json!([]), "input"),
        ("input", Value::Null, "input"),
        (
            "input",
            json!([{"type": "item_reference", "id": "msg_1"}]),
            "input[0].type",
        ),
        (
            "input",
            json!([{"type": "reasoning", "id": "r", "summary": []}]),
            "input[0].type",
        ),
        (
            "input",
            json!([{"role": "user", "content": [{"type": "input_file"}]}]),
            "input[0].content[0].type",
        ),
        (
            "input",
            json!([{"role": "user", "content": [image]}]),
            "input[0].content[0].file_id",
        ),
        (
            "previous_response_id",
            json!("resp_1"),
            "previous_response_id",
        ),
        ("conversation", json!("conv_1"), "conversation"),
        ("store", json!(true), "store"),
        ("background", json!(true), "background"),
        ("truncation", json!("auto"), "truncation"),
        ("reasoning", json!({"effort": "low"}), "reasoning.effort"),
        ("include", json!(["file_search_call.results"]), "include[0]"),
        ("top_logprobs", json!(1), "top_logprobs"),
        ("text", json!({"verbosity": "low"}), "text.verbosity"),
        ("tools", json!([{"type": "web_search"}]), "tools[0].type"),
        ("tool_choice", json!({"type": "mcp"}), "tool_choice.type"),
        ("seed", json!(1), "seed"),
    ] {
        let error = with(name, value.clone()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{name}: {value}");
    }
}

fn head() -> Head {
    Head {
        id: "resp_1".to_owned(),
        created: 7,
        model: "m".to_owned(),
    }
}

const USAGE: Usage = Usage {
    prompt_tokens: 10,
    answer_tokens: 20,
};

fn said() -> Said {
    Said {
        text: "Well".to_owned(),
        tool_calls: vec![ToolCall {
            id: "c1".to_owned(),
            name: "look".to_owned(),
            arguments: "{}".to_owned(),
        }],
        logprobs: vec![],
        finish: Finish::ToolCalls,
    }
}

fn extra() -> Map<String, Value> {
    Map::from_iter([("og_receipt".to_owned(), json!("r"))])
}

/// The documents of the events, numbered from 0.
fn documents(frames: &str) -> Vec<Value> {
    let frames = frames.split_terminator("\n\n").enumerate();
    let documents = frames.map(|(index, frame)| {
        let (event, data) = frame.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(event.strip_prefix("event: "), data["type"].as_str());
        assert_eq!(data["sequence_number"], index);
        data
    });
    documents.collect()
}

#[test]
fn a_stream_ends_with_what_a_whole_answer_is() {
    let echo = with("metadata", json!({"a": "b"})).unwrap().echo;
    let whole = whole(&head(), &echo, &said(), Some(USAGE), extra());
    let mut stream = Stream::new(head(), echo);
    let mut frames = String::new();
    for piece in said().pieces() {
        frames += &stream.pieces(&[piece]).unwrap();
    }
    frames += &stream.end(Finish::ToolCalls, Some(USAGE), extra());
    let documents = documents(&frames);
    let kinds = documents
        .iter()
        .map(|document| document["type"].as_str().unwrap());
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(documents[12]["response"], whole);
    assert_eq!(
        (&whole["og_receipt"], &whole["metadata"]["a"]),
        (&json!("r"), &json!("b"))
    );
    assert_eq!(documents[7]["item"], whole["output"][0]);
    assert_eq!(documents[11]["item"], whole["output"][1]);
    let call = json!({"type": "function_call", "id": "fc_1_1", "status": "completed", "call_id": "c1", "name": "look", "arguments": "{}"});
    assert_eq!(whole["output"][1], call);
}

#[test]
fn a_cut_answer_is_incomplete_and_a_failed_one_failed() {
    let echo = with("user", json!("u")).unwrap().echo;
    let cut = Said {
        finish: Finish::Length,
        ..said()
    };
    let body = whole(&head(), &echo, &cut, None, Map::new());
    assert_eq!(
        (&body["status"], &body["usage"]),
        (&json!("incomplete"), &Value::Null)
    );
    assert_eq!(body["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!(body["output"][0]["status"], "completed");
    assert_eq!(body["output"][1]["status"], "incomplete");
    let mut stream = Stream::new(head(), echo.clone());
    let frames = stream.error(&ApiError::new(Fault::Busy, "Come back."));
    let failed = &documents(&frames)[2];
    assert_eq!(failed["type"], "response.failed");
    assert_eq!(
        failed["response"]["error"],
        json!({"code": "rate_limit_exceeded", "message": "Come back."})
    );
    let early = Stream::new(head(), echo).pieces(&[Piece::Arguments("{}".to_owned())]);
    assert_eq!(early, Err(PieceError::NoCall));
}

#[test]
fn probabilities_ride_with_the_text() {
    let token = Alternative {
        bytes: b"Well".to_vec(),
        logprob: -ONE,
    };
    let tokens = vec![Logprob {
        chosen: token,
        top: vec![],
    }];
    let echo = with("user", Value::Null).unwrap().echo;
    let mut stream = Stream::new(head(), echo);
    let pieces = [Piece::Text("Well".to_owned()), Piece::Logprobs(tokens)];
    let mut frames = stream.pieces(&pieces).unwrap();
    frames += &stream.end(Finish::Stop, None, Map::new());
    let documents = documents(&frames);
    assert_eq!(documents[4]["delta"], "Well");
    assert_eq!(documents[4]["logprobs"][0]["logprob"], -1.0);
    let part = &documents[8]["response"]["output"][0]["content"][0];
    assert_eq!(part["logprobs"][0]["token"], "Well");
}

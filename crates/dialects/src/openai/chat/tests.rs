//! Requests that clients send, requests that are refused, and answers.

use super::*;
use crate::{Head, Usage, openai::Style};
use og_types::language::{
    Alternative, Content, Finish, Logprob, Message, ONE, Part, Piece, PieceError, Said, Tool,
    ToolCall, ToolChoice,
};
use serde_json::Map;

fn parse(body: &Value) -> Result<Request, ApiError> {
    Request::parse(body.to_string().as_bytes(), Defaults::OPENAI)
}

/// A request with one more parameter.
fn with(name: &str, value: Value) -> Result<Request, ApiError> {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    body[name] = value;
    parse(&body)
}

fn turn(message: Value) -> Result<Message, ApiError> {
    let request = parse(&json!({"model": "m", "messages": [message]}))?;
    let Prompt::Messages(mut messages) = request.question.prompt else {
        panic!("chat asks with messages")
    };
    Ok(messages.remove(0))
}

#[test]
fn a_short_request_means_what_is_published() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    let request = parse(&body).unwrap();
    assert_eq!(request.model, "m");
    assert_eq!(request.question.temperature, ONE);
    assert_eq!(request.question.max_tokens, None);
    let prompt = Prompt::Messages(vec![Message::text("user", "Hi")]);
    assert_eq!(request.question.prompt, prompt);
    assert_eq!(
        (
            request.stream,
            request.include_usage,
            request.choices,
            request.seed
        ),
        (false, false, 1, None)
    );
    let bytes = body.to_string();
    let request = Request::parse(bytes.as_bytes(), Defaults::OPENGRADIENT).unwrap();
    assert_eq!(request.question.temperature, 0);
    assert_eq!(request.question.max_tokens, Some(4096));
}

#[test]
fn every_setting_arrives() {
    let request = parse(&json!({
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.7, "top_p": 0, "top_k": -1, "repetition_penalty": 1.5,
        "frequency_penalty": -2, "presence_penalty": 0.5, "stop": ["a", "b"],
        "max_completion_tokens": 7, "max_tokens": 7, "n": 3, "seed": -1,
        "logprobs": true, "top_logprobs": 5, "logit_bias": {},
        "stream": true, "stream_options": {"include_usage": true},
        "response_format": {"type": "json_schema", "json_schema": {
            "name": "n", "strict": true, "description": "What it is", "schema": {"type": "object"}}},
        "tools": [{"type": "function", "function": {"name": "look", "strict": true}}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "parallel_tool_calls": false,
    }))
    .unwrap();
    let question = Question {
        prompt: Prompt::Messages(vec![Message::text("user", "Hi")]),
        max_tokens: Some(7),
        temperature: 45_875,
        top_k: 0,
        top_p: 1,
        repetition_penalty: ONE * 3 / 2,
        frequency_penalty: -2 * ONE,
        presence_penalty: ONE / 2,
        stop: vec!["a".to_owned(), "b".to_owned()],
        format: Format::JsonSchema(json!({"type": "object", "description": "What it is"})),
        tools: vec![Tool {
            name: "look".to_owned(),
            description: String::new(),
            parameters: json!({"type": "object", "properties": {}}),
            strict: true,
        }],
        tool_choice: ToolChoice::Tool("look".to_owned()),
        parallel_tool_calls: false,
        logprobs: Some(5),
    };
    assert_eq!(request.question, question);
    assert_eq!(
        (
            request.stream,
            request.include_usage,
            request.choices,
            request.seed
        ),
        (true, true, 3, Some(u64::MAX))
    );
}

#[test]
fn what_changes_nothing_is_accepted() {
    for (name, value) in [
        ("store", json!(false)),
        ("service_tier", json!("auto")),
        ("modalities", json!(["text"])),
        ("verbosity", json!("medium")),
        ("web_search", json!(false)),
        ("user", json!("someone")),
        ("metadata", json!({"a": "b"})),
        ("prompt_cache_key", json!("k")),
        ("response_format", json!({"type": "text"})),
        ("tool_choice", json!("auto")),
        ("functions", Value::Null),
        ("stop", Value::Null),
        ("top_logprobs", json!(0)),
    ] {
        let plain = with("user", Value::Null).unwrap();
        assert_eq!(with(name, value).as_ref(), Ok(&plain), "{name}");
    }
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    let function = json!({"type": "function", "function": {"name": "f"}});
    for (name, value, param) in [
        ("audio", json!({"voice": "alloy"}), "audio"),
        ("function_call", json!("auto"), "function_call"),
        ("functions", json!([]), "functions"),
        ("logit_bias", json!({"5": 1}), "logit_bias"),
        ("moderation", json!({"model": "m"}), "moderation"),
        ("modalities", json!(["audio"]), "modalities"),
        (
            "prediction",
            json!({"type": "content", "content": ""}),
            "prediction",
        ),
        ("reasoning_effort", json!("low"), "reasoning_effort"),
        ("service_tier", json!("priority"), "service_tier"),
        ("store", json!(true), "store"),
        ("verbosity", json!("low"), "verbosity"),
        ("web_search", json!(true), "web_search"),
        ("web_search_options", json!({}), "web_search_options"),
        ("min_p", json!(0.1), "min_p"),
        ("n", json!(17), "n"),
        ("temperature", json!(2.1), "temperature"),
        ("temperature", json!("1"), "temperature"),
        ("top_logprobs", json!(2), "top_logprobs"),
        ("max_tokens", json!(0), "max_tokens"),
        ("stop", json!(["", "a"]), "stop"),
        ("stop", json!(vec!["a"; 17]), "stop"),
        ("seed", json!(1.5), "seed"),
        (
            "stream_options",
            json!({"include_usage": true}),
            "stream_options",
        ),
        ("tools", json!([{"type": "custom"}]), "tools[0].type"),
        ("tools", json!([&function, &function]), "tools[1]"),
        ("tool_choice", json!("required"), "tool_choice"),
        ("tool_choice", function, "tool_choice"),
        (
            "tool_choice",
            json!({"type": "allowed_tools"}),
            "tool_choice.type",
        ),
        (
            "response_format",
            json!({"type": "xml"}),
            "response_format.type",
        ),
        (
            "response_format",
            json!({"type": "json_schema", "json_schema": {"name": "n"}}),
            "response_format.json_schema.schema",
        ),
        ("messages", json!([]), "messages"),
        ("model", Value::Null, "model"),
    ] {
        let error = with(name, value.clone()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{name}: {value}");
        assert_eq!(error.fault.status(), 400);
    }
}

#[test]
fn turns_are_read_in_every_form_that_clients_send() {
    let developer = turn(json!({"role": "developer", "content": "Be brief"})).unwrap();
    assert_eq!(developer, Message::text("system", "Be brief"));
    let seen = turn(json!({"role": "user", "name": "Ann", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
    ]}));
    let seen = seen.unwrap();
    assert_eq!(seen.name.as_deref(), Some("Ann"));
    let picture = Part::Image {
        url: "https://example.org/a.png".to_owned(),
        detail: Some("low".to_owned()),
    };
    let text = Part::Text {
        text: "What is this?".to_owned(),
    };
    assert_eq!(seen.content, Content::Parts(vec![text, picture]));
    // As the Python package writes an answer back.
    let called = turn(json!({
        "role": "assistant", "content": null, "refusal": null, "annotations": [], "audio": null, "function_call": null,
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
    }));
    let called = called.unwrap();
    assert_eq!(called.content, Content::Text(String::new()));
    assert_eq!(called.tool_calls.len(), 1);
    let answered = turn(json!({"role": "tool", "tool_call_id": "1", "content": "42"})).unwrap();
    assert_eq!(answered.tool_call_id.as_deref(), Some("1"));
    let old = turn(json!({"role": "function", "name": "look", "content": "42"})).unwrap();
    assert_eq!(
        (old.role.as_str(), old.name.as_deref()),
        ("tool", Some("look"))
    );
}

#[test]
fn turns_that_cannot_be_read_are_refused_by_name() {
    let image = json!({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}});
    for (message, param) in [
        (json!({"role": "robot", "content": ""}), "messages[0].role"),
        (json!({"role": "user"}), "messages[0].content"),
        (
            json!({"role": "tool", "content": "42"}),
            "messages[0].tool_call_id",
        ),
        (
            json!({"role": "function", "content": "42"}),
            "messages[0].name",
        ),
        (json!({"role": "assistant"}), "messages[0].content"),
        (json!({"role": "user", "content": 1}), "messages[0].content"),
        (
            json!({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}),
            "messages[0].content[0].type",
        ),
        (
            json!({"role": "user", "content": [{"type": "file", "file": {}}]}),
            "messages[0].content[0].type",
        ),
        (
            json!({"role": "system", "content": [image]}),
            "messages[0].content[0].type",
        ),
        (
            json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}),
            "messages[0].content[0].image_url.url",
        ),
        (
            json!({"role": "user", "content": "", "cache": 1}),
            "messages[0].cache",
        ),
        (
            json!({"role": "user", "content": "", "tool_calls": []}),
            "messages[0].tool_calls",
        ),
        (
            json!({"role": "assistant", "content": "", "function_call": {}}),
            "messages[0].function_call",
        ),
    ] {
        let error = turn(message.clone()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(param), "{message}");
    }
}

fn head() -> Head {
    Head {
        id: "chatcmpl-1".to_owned(),
        created: 1_795_166_465,
        model: "m".to_owned(),
    }
}

const USAGE: Usage = Usage {
    prompt_tokens: 10,
    answer_tokens: 20,
};

fn said() -> Said {
    let alternative = |text: &str, logprob| Alternative {
        bytes: text.into(),
        logprob,
    };
    Said {
        text: "Hé".to_owned(),
        tool_calls: vec![ToolCall {
            id: "call_1".to_owned(),
            name: "look".to_owned(),
            arguments: "{}".to_owned(),
        }],
        logprobs: vec![Logprob {
            chosen: alternative("Hé", -ONE / 2),
            top: vec![alternative("Hé", -ONE / 2)],
        }],
        finish: Finish::ToolCalls,
    }
}

fn extra() -> Map<String, Value> {
    Map::from_iter([("og_receipt".to_owned(), json!("r"))])
}

/// The documents of a stream.
fn documents(frames: &str) -> Vec<Value> {
    let frames = frames.strip_suffix("data: [DONE]\n\n").expect("an end");
    frames
        .split_terminator("\n\n")
        .map(|frame| serde_json::from_str(frame.strip_prefix("data: ").unwrap()).unwrap())
        .collect()
}

#[test]
fn a_whole_answer_has_openais_shape() {
    let token = json!({"token": "Hé", "bytes": [72, 195, 169], "logprob": -0.5});
    let mut first = token.clone();
    first["top_logprobs"] = json!([token]);
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}});
    assert_eq!(
        whole(&head(), Style::OpenAi, &[said()], Some(USAGE), extra()),
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1_795_166_465, "model": "m",
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": "Hé", "refusal": null, "tool_calls": [call]},
                "finish_reason": "tool_calls",
                "logprobs": {"content": [first], "refusal": null},
            }],
            "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
            "og_receipt": "r",
        })
    );
    let silent = Said {
        text: String::new(),
        logprobs: vec![],
        ..said()
    };
    let body = whole(
        &head(),
        Style::OpenAi,
        std::slice::from_ref(&silent),
        None,
        Map::new(),
    );
    assert_eq!(body["choices"][0]["message"]["content"], Value::Null);
    let body = whole(&head(), Style::OpenGradient, &[silent], None, Map::new());
    assert_eq!(body["choices"][0]["message"]["content"], "");
    assert!(!body.to_string().contains("null"), "{body}");
}

#[test]
fn a_stream_ends_as_openais_clients_expect() {
    let mut stream = Stream::new(head(), Style::OpenAi, true, 2);
    let mut frames = stream.pieces(1, &[Piece::Text("a".to_owned())]).unwrap();
    for piece in said().pieces() {
        frames += &stream.pieces(0, &[piece]).unwrap();
    }
    assert_eq!(
        stream.pieces(2, &[Piece::Text("b".to_owned())]).unwrap(),
        ""
    );
    frames += &stream.end(&[Finish::ToolCalls, Finish::Length], Some(USAGE), extra());
    let documents = documents(&frames);
    assert_eq!(
        documents[0]["choices"][0]["delta"],
        json!({"role": "assistant", "content": "a"})
    );
    assert_eq!(documents[0]["choices"][0]["index"], 1);
    assert_eq!(documents[0].get("usage"), Some(&Value::Null));
    let call = json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": ""}});
    assert_eq!(
        documents[2]["choices"][0]["delta"],
        json!({"tool_calls": [call]})
    );
    let [.., first, second, usage] = &documents[..] else {
        panic!("three frames at the end")
    };
    assert_eq!(first["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(second["choices"][0]["finish_reason"], "length");
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["total_tokens"], 30);
    assert_eq!(usage["og_receipt"], "r");
}

#[test]
fn without_usage_the_last_choice_carries_what_is_extra() {
    let stream = Stream::new(head(), Style::OpenAi, false, 1);
    let documents = documents(&stream.end(&[Finish::Stop], Some(USAGE), extra()));
    assert_eq!(documents.len(), 1, "no frame without choices");
    assert_eq!(documents[0]["choices"][0]["finish_reason"], "stop");
    assert_eq!(documents[0]["og_receipt"], "r");
    assert_eq!(documents[0].get("usage"), None);
}

#[test]
fn opengradients_clients_get_one_last_frame_without_null() {
    let mut stream = Stream::new(head(), Style::OpenGradient, false, 1);
    let begin = stream.pieces(0, &[Piece::Text("a".to_owned())]).unwrap();
    assert!(
        begin.contains(r#""delta":{"role":"assistant","content":"a"}"#),
        "{begin}"
    );
    let error = stream.error(&ApiError::new(crate::Fault::Upstream, "It broke."));
    assert_eq!(error, "data: {\"error\":\"It broke.\"}\n\n");
    let documents = documents(&stream.end(&[Finish::Stop], Some(USAGE), extra()));
    assert_eq!(
        documents,
        [json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_795_166_465, "model": "m",
            "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
            "og_receipt": "r",
        })]
    );
}

#[test]
fn arguments_need_a_call() {
    let mut stream = Stream::new(head(), Style::OpenAi, false, 1);
    let pieces = [Piece::Arguments("{}".to_owned())];
    assert_eq!(stream.pieces(0, &pieces), Err(PieceError::NoCall));
}

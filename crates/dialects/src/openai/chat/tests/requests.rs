//! Requests that clients send, and requests that are refused.

use super::super::*;
use og_types::language::{Content, Message, ONE, Part, Tool, ToolChoice};

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
        (
            json!({"role": "assistant", "content": "Yes", "refusal": "No"}),
            "messages[0].refusal",
        ),
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

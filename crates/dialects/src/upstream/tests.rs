//! What is sent to whom, and answers that services give in forms of their own.

use super::*;
use og_types::language::{Message, ONE, Prompt, ToolCall};
use serde_json::json;

fn question() -> Question {
    Question {
        temperature: ONE,
        max_tokens: None,
        ..Question::new(Prompt::Messages(vec![Message::text("user", "Hi")]))
    }
}

fn body(service: Service, question: &Question) -> Result<Value, Refusal> {
    let call = Call {
        question,
        model: "m",
        seed: None,
        stream: false,
        most_tokens: 100,
    };
    Ok(service.request(&call)?.body)
}

#[test]
fn only_what_differs_is_sent() {
    let plain = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    for service in [Service::OpenAi, Service::Xai, Service::Compatible] {
        assert_eq!(body(service, &question()), Ok(plain.clone()));
    }
    let greedy = Question {
        max_tokens: Some(7),
        temperature: 0,
        ..question()
    };
    let sent = body(Service::OpenAi, &greedy).unwrap();
    assert_eq!(
        (&sent["temperature"], &sent["max_completion_tokens"]),
        (&json!(0.0), &json!(7))
    );
    let sent = body(Service::Compatible, &greedy).unwrap();
    assert_eq!(sent["max_tokens"], 7);
}

#[test]
fn servers_with_defaults_of_their_own_are_told_everything() {
    assert_eq!(
        body(Service::Vllm, &question()).unwrap(),
        json!({
            "model": "m", "messages": [{"role": "user", "content": "Hi"}],
            "temperature": 1.0, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0,
            "top_k": -1, "min_p": 0, "repetition_penalty": 1.0,
        })
    );
    assert_eq!(
        body(Service::LlamaServer, &question()).unwrap(),
        json!({
            "model": "m", "messages": [{"role": "user", "content": "Hi"}],
            "temperature": 1.0, "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0,
            "top_k": 0, "min_p": 0, "repeat_penalty": 1.0, "repeat_last_n": -1,
        })
    );
}

#[test]
fn what_a_service_does_not_know_is_refused_by_name() {
    let narrow = Question {
        top_k: 5,
        ..question()
    };
    let penalised = Question {
        repetition_penalty: 2 * ONE,
        ..question()
    };
    for service in [Service::OpenAi, Service::Xai, Service::Compatible] {
        let param = |question| body(service, question).unwrap_err().input;
        assert_eq!(param(&narrow).as_deref(), Some("top_k"));
        assert_eq!(param(&penalised).as_deref(), Some("repetition_penalty"));
    }
}

/// What a stream of these documents says.
fn stream(service: Service, documents: &[Value]) -> Result<(Vec<Piece>, Ended), AnswerError> {
    let mut stream = service.stream();
    let mut pieces = vec![];
    for document in documents {
        pieces.extend(stream.push(format!("data: {document}\n\n").as_bytes())?);
    }
    Ok((pieces, stream.end()?))
}

fn called(index: u64, call: Value) -> Value {
    let mut call = call;
    call["index"] = json!(index);
    json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})
}

#[test]
fn calls_are_told_apart_however_services_number_them() {
    let begin =
        |id: Value, name: &str| json!({"id": id, "function": {"name": name, "arguments": ""}});
    let more = |text: &str| json!({"function": {"arguments": text}});
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let numbered = [
        called(0, begin(Value::Null, "a")),
        called(0, more("{}")),
        called(1, begin(Value::Null, "b")),
        called(1, more("[]")),
        end.clone(),
    ];
    let named = [
        called(0, begin(json!("call_0"), "a")),
        called(
            0,
            json!({"id": "call_0", "function": {"name": "a", "arguments": "{}"}}),
        ),
        called(0, begin(json!("call_1"), "b")),
        called(0, more("[]")),
        end.clone(),
    ];
    for documents in [numbered, named] {
        let (pieces, ended) = stream(Service::Compatible, &documents).unwrap();
        let mut said = Said::empty();
        for piece in &pieces {
            said.add(piece).unwrap();
        }
        let call = |id: &str, name: &str, arguments: &str| ToolCall {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        };
        assert_eq!(
            said.tool_calls,
            [call("call_0", "a", "{}"), call("call_1", "b", "[]")]
        );
        assert_eq!(ended.finish, Finish::ToolCalls, "though it says stop");
    }
    let mixed = [
        called(0, begin(json!("x"), "a")),
        called(1, begin(json!("y"), "b")),
        called(0, more("{}")),
        end,
    ];
    let error = stream(Service::Compatible, &mixed).unwrap_err();
    assert!(matches!(error, AnswerError::Form(_)), "{error}");
}

#[test]
fn refusals_and_failures_are_told_apart() {
    let refusal = json!({"choices": [{"message": {"content": null, "refusal": "No."}, "finish_reason": "stop"}]});
    let answered = Service::OpenAi
        .read(refusal.to_string().as_bytes())
        .unwrap();
    assert_eq!(answered.said.text, "No.");
    assert_eq!(answered.said.finish, Finish::ContentFilter);
    for error in [
        json!({"error": "It broke."}),
        json!({"error": {"message": "It broke."}}),
    ] {
        let failed = AnswerError::Failed("It broke.".to_owned());
        assert_eq!(
            Service::OpenAi.read(error.to_string().as_bytes()),
            Err(failed.clone())
        );
        assert_eq!(stream(Service::OpenAi, &[error]).unwrap_err(), failed);
    }
    let odd = json!({"choices": [{"message": {"content": ""}, "finish_reason": "bored"}]});
    let error = Service::OpenAi
        .read(odd.to_string().as_bytes())
        .unwrap_err();
    assert!(error.to_string().contains("bored"), "{error}");
}

#[test]
fn a_refused_request_is_laid_at_the_right_door() {
    let body = br#"{"error": {"message": "Key sk-12345 is wrong", "type": "x"}}"#;
    for (status, fault) in [
        (400, Fault::Request),
        (401, Fault::Upstream),
        (429, Fault::Busy),
        (500, Fault::Upstream),
        (504, Fault::Timeout),
    ] {
        let error = refused("api.example", status, body);
        assert_eq!(error.fault, fault, "{status}");
        assert_eq!(
            error.message.contains("sk-12345"),
            status != 401,
            "keys stay secret"
        );
    }
    let old = br#"{"object": "error", "message": "Too long", "code": 400}"#;
    assert!(refused("h", 400, old).message.ends_with(": Too long"));
    let list = br#"[{"error": {"code": 400, "message": "Bad", "status": "INVALID_ARGUMENT"}}]"#;
    assert!(refused("h", 400, list).message.ends_with(": Bad"));
    assert!(
        refused("h", 502, b"<html>")
            .message
            .ends_with("it does not say why")
    );
}

#[test]
fn what_the_system_says_first_is_said_together() {
    let turns = |role: &str| {
        let mut turns = vec![Message::text("system", "a"), Message::text("system", "b")];
        turns.push(Message::text("user", "Hi"));
        turns.push(Message::text(role, "c"));
        Question {
            prompt: Prompt::Messages(turns),
            ..question()
        }
    };
    let sent = body(Service::Anthropic, &turns("user")).unwrap();
    let block = |text: &str| json!({"type": "text", "text": text});
    assert_eq!(sent["system"], json!([block("a"), block("b")]));
    let sent = body(Service::Google, &turns("user")).unwrap();
    assert_eq!(
        sent["systemInstruction"],
        json!({"parts": [{"text": "a"}, {"text": "b"}]})
    );
    for service in [Service::Anthropic, Service::Google] {
        let error = body(service, &turns("system")).unwrap_err();
        assert_eq!(error.input.as_deref(), Some("prompt[3].role"));
    }
}

#[test]
fn services_are_named_in_files_as_people_write_them() {
    let names = [
        "openai",
        "xai",
        "vllm",
        "llama_server",
        "compatible",
        "anthropic",
        "google",
    ];
    for name in names {
        let service: Result<Service, _> = serde_json::from_value(json!(name));
        assert!(service.is_ok(), "{name}");
    }
}

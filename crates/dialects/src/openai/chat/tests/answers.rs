//! Answers, whole and in pieces.

use super::super::*;
use crate::{Fault, Head, Usage, openai::Style};
use og_types::language::{Alternative, Finish, Logprob, ONE, Piece, PieceError, Said, ToolCall};
use serde_json::Map;

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
    let error = stream.error(&ApiError::new(Fault::Upstream, "It broke."));
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

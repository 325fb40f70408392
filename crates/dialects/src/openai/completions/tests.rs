//! Requests, and answers in both forms.

use super::*;
use crate::{Head, Usage, openai::Style};
use og_types::language::{Alternative, Logprob, ONE, Piece, Said};
use serde_json::Map;

fn with(name: &str, value: Value) -> Result<Request, ApiError> {
    let mut body = json!({"model": "m", "prompt": "Once"});
    body[name] = value;
    Request::parse(body.to_string().as_bytes(), Defaults::OPENAI_COMPLETIONS)
}

fn head() -> Head {
    Head {
        id: "cmpl-1".to_owned(),
        created: 7,
        model: "m".to_owned(),
    }
}

const USAGE: Usage = Usage {
    prompt_tokens: 1,
    answer_tokens: 2,
};

#[test]
fn one_text_or_several_are_asked_with_the_same_settings() {
    let request = with("logprobs", json!(3)).unwrap();
    let [question] = &request.questions[..] else {
        panic!("one text, one question")
    };
    assert_eq!(question.prompt, Prompt::Text("Once".to_owned()));
    assert_eq!(question.max_tokens, Some(16), "as published");
    assert_eq!((question.temperature, question.logprobs), (ONE, Some(3)));
    let request = with("prompt", json!(["a", "b"])).unwrap();
    let prompts: Vec<_> = request
        .questions
        .iter()
        .map(|question| &question.prompt)
        .collect();
    assert_eq!(
        prompts,
        [&Prompt::Text("a".to_owned()), &Prompt::Text("b".to_owned())]
    );
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    for (name, value) in [
        ("prompt", json!([])),
        ("prompt", json!([1, 2])),
        ("prompt", json!([[1, 2]])),
        ("prompt", json!(vec!["a"; 17])),
        ("prompt", Value::Null),
        ("best_of", json!(2)),
        ("echo", json!(true)),
        ("suffix", json!("!")),
        ("web_search", json!(true)),
        ("logprobs", json!(21)),
        ("messages", json!([])),
        ("max_completion_tokens", json!(5)),
    ] {
        let error = with(name, value.clone()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(name), "{value}");
    }
    for (name, value) in [
        ("best_of", json!(1)),
        ("echo", json!(false)),
        ("suffix", json!("")),
    ] {
        assert!(with(name, value).is_ok(), "{name}");
    }
}

#[test]
fn answers_have_the_old_shape_of_probabilities_and_opengradients_field() {
    let token = |bytes: &[u8]| Logprob {
        chosen: Alternative {
            bytes: bytes.to_vec(),
            logprob: -ONE,
        },
        top: vec![Alternative {
            bytes: b"x".to_vec(),
            logprob: -ONE / 2,
        }],
    };
    let said = Said {
        text: " né".to_owned(),
        logprobs: vec![token(b" n"), token(&[0xc3]), token(&[0xa9])],
        ..Said::empty()
    };
    let body = whole(
        &head(),
        Style::OpenAi,
        std::slice::from_ref(&said),
        Some(USAGE),
        Map::new(),
    );
    let tokens = json!({
        "tokens": [" n", "bytes:\\xc3", "bytes:\\xa9"],
        "token_logprobs": [-1.0, -1.0, -1.0],
        "top_logprobs": [{"x": -0.5}, {"x": -0.5}, {"x": -0.5}],
        "text_offset": [0, 2, 3],
    });
    assert_eq!(
        body,
        json!({
            "id": "cmpl-1", "object": "text_completion", "created": 7, "model": "m",
            "choices": [{"text": " né", "index": 0, "finish_reason": "stop", "logprobs": tokens}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        })
    );
    let plain = Said {
        logprobs: vec![],
        ..said
    };
    let body = whole(&head(), Style::OpenGradient, &[plain], None, Map::new());
    assert_eq!(body["completion"], " né");
    assert!(!body.to_string().contains("null"), "{body}");
}

#[test]
fn a_stream_says_text_and_ends() {
    let mut stream = Stream::new(head(), true, 1);
    let frame = stream.pieces(
        0,
        &[Piece::Text("a".to_owned()), Piece::Text("b".to_owned())],
    );
    assert!(frame.contains(r#""choices":[{"text":"ab","index":0,"finish_reason":null,"logprobs":null}],"usage":null"#), "{frame}");
    let end = stream.end(&[Finish::Length], Some(USAGE), Map::new());
    assert!(end.contains(r#""finish_reason":"length""#), "{end}");
    assert!(
        end.ends_with("\"total_tokens\":3}}\n\ndata: [DONE]\n\n"),
        "{end}"
    );
}

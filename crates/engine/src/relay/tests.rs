//! A relay beside a server of a few lines, which speaks HTTP over a real socket.

use super::*;
use og_types::language::Message;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    thread::JoinHandle,
};

/// What a server got: its first line, whether a key came with it, and the body.
struct Asked {
    line: String,
    authorization: Option<String>,
    body: Value,
}

/// A server that answers one request, and its address.
fn server(status: &'static str, answer: &str) -> (String, JoinHandle<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = answer.to_owned();
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let (mut length, mut authorization) = (0, None);
        loop {
            let mut header = String::new();
            lines.read_line(&mut header).unwrap();
            let Some((name, value)) = header.trim().split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "authorization" => authorization = Some(value.to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        lines.read_exact(&mut body).unwrap();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", answer.len());
        let _ = write!(stream, "{head}connection: close\r\n\r\n{answer}");
        Asked {
            line,
            authorization,
            body: serde_json::from_slice(&body).unwrap(),
        }
    };
    (address, std::thread::spawn(serve))
}

fn relay(address: &str, keys: &UpstreamKeys) -> Relay {
    let file = format!("[relay]\nurl = \"http://{address}/v1\"\nmodel = \"m\"\n");
    Relay::new(&file, keys).unwrap()
}

fn question() -> Question {
    Question {
        temperature: ONE / 2,
        stop: vec!["\n".to_owned()],
        ..Question::new(Prompt::Messages(vec![Message::text("user", "Hello")]))
    }
}

const ANSWER: &str = r#"{"id":"x","model":"m-2","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},
    "finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}"#;

#[tokio::test]
async fn an_answer_is_passed_on_and_says_where_it_is_from() {
    let (address, asked) = server("200 OK", ANSWER);
    let key = UpstreamKey::new(" secret\n").unwrap();
    let relay = Arc::new(relay(&address, &[(address.clone(), key)].into()));
    assert_eq!(relay.computed(), Computed::Relayed);
    let inputs = question().to_tensors().unwrap();
    let run = relay.run(inputs, u64::MAX, Pieces::UNWANTED);
    let outputs = run.await.unwrap();
    let reply = RelayedReply::from_tensors(&outputs).unwrap();
    assert_eq!(
        (reply.said.text.as_str(), reply.said.finish),
        ("Hi", Finish::Stop)
    );
    assert_eq!(
        (reply.upstream, reply.upstream_model),
        (address, "m-2".to_owned())
    );
    assert_eq!((reply.prompt_tokens, reply.tokens), (Some(3), Some(1)));
    let asked = asked.join().unwrap();
    assert_eq!(asked.line, "POST /v1/chat/completions HTTP/1.1\r\n");
    assert_eq!(asked.authorization.as_deref(), Some("Bearer secret"));
    let expected = json!({
        "model": "m", "max_tokens": 256, "temperature": 0.5, "top_p": 1.0, "seed": i64::MAX, "stop": ["\n"],
        "messages": [{ "role": "user", "content": "Hello" }],
    });
    assert_eq!(asked.body, expected);
}

#[test]
fn a_text_is_gone_on_from_and_every_setting_is_sent() {
    let answer = r#"{"choices":[{"text":" a time","finish_reason":"length"}]}"#;
    let (address, asked) = server("200 OK", answer);
    let question = Question {
        top_k: 5,
        repetition_penalty: ONE * 5 / 4,
        ..Question::new(Prompt::Text("Once".to_owned()))
    };
    let reply = relay(&address, &UpstreamKeys::new())
        .answer(&question, 1)
        .unwrap();
    assert_eq!(
        (reply.said.text.as_str(), reply.said.finish),
        (" a time", Finish::Length)
    );
    assert_eq!((reply.upstream_model.as_str(), reply.tokens), ("", None));
    let asked = asked.join().unwrap();
    assert_eq!(asked.line, "POST /v1/completions HTTP/1.1\r\n");
    assert_eq!(asked.authorization, None);
    assert_eq!(
        (&asked.body["top_k"], &asked.body["repetition_penalty"]),
        (&json!(5), &json!(1.25))
    );
}

#[test]
fn failures_say_whose_fault_it_is() {
    let fails = |status, answer: &str| {
        let (address, _server) = server(status, answer);
        relay(&address, &UpstreamKeys::new())
            .answer(&question(), 1)
            .unwrap_err()
    };
    let said = r#"{"error":{"message":"top_p is\u0007 too large","type":"invalid_request_error"}}"#;
    let refused = fails("400 Bad Request", said);
    assert!(
        matches!(&refused, RunError::Refused(text) if text.ends_with("question: top_p is too large")),
        "{refused}"
    );
    assert!(matches!(
        fails("429 Too Many Requests", "slow down"),
        RunError::Busy(_)
    ));
    let key = fails("401 Unauthorized", "your key secret is wrong").to_string();
    assert!(
        key.contains("node's key") && !key.contains("secret"),
        "{key}"
    );
    for (status, answer) in [
        ("500 Internal Server Error", ""),
        ("302 Found", ""),
        ("200 OK", "no JSON"),
        ("200 OK", r#"{"choices":[]}"#),
        ("200 OK", r#"{"choices":[{"finish_reason":"stop"}]}"#),
        (
            "200 OK",
            r#"{"choices":[{"text":"x","finish_reason":"content_filter"}]}"#,
        ),
    ] {
        let error = fails(status, answer);
        assert!(
            matches!(error, RunError::Model(_)),
            "{status} {answer}: {error}"
        );
    }
    let (address, server) = server("200 OK", ANSWER);
    let relay = relay(&address, &UpstreamKeys::new());
    relay.answer(&question(), 1).unwrap();
    server.join().unwrap();
    let error = relay.answer(&question(), 1).unwrap_err().to_string();
    assert!(error.contains("cannot be asked"), "{error}");
}

#[test]
fn files_that_name_no_service_are_refused() {
    let open = |url: &str, keys: &UpstreamKeys| {
        Relay::new(&format!("[relay]\nurl = {url:?}\nmodel = \"m\"\n"), keys).map(drop)
    };
    let none = UpstreamKeys::new();
    for url in [
        "",
        "api.example/v1",
        "ftp://api.example",
        "https://user:word@api.example",
        "https://api.example/?k=1",
    ] {
        assert!(
            matches!(open(url, &none), Err(UpstreamError::Url { .. })),
            "{url}"
        );
    }
    for file in [
        "",
        "[relay]\n",
        "[relay]\nurl = \"https://a.example\"\nmodel = \"\"\n",
        "[relay]\nurl = \"https://a.example\"\nmodel = \"m\"\nkey = \"k\"\n",
    ] {
        assert!(
            matches!(Relay::new(file, &none), Err(UpstreamError::File(_))),
            "{file}"
        );
    }
    let keys = [("api.example".to_owned(), UpstreamKey::new("k").unwrap())].into();
    assert_eq!(
        open("http://api.example/v1", &keys),
        Err(UpstreamError::Unencrypted("api.example".to_owned()))
    );
    assert_eq!(open("https://api.example/v1", &keys), Ok(()));
    assert_eq!(
        UpstreamKey::new("two words").map(drop),
        Err(UpstreamError::Key)
    );
    assert!(!format!("{keys:?}").contains("\"k\""));
}

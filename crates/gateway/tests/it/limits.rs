//! Who may ask and how much, as clients are told, and what operators see of it.

use crate::{
    network::{Gateway, KEYS, Policy, Validator},
    speaker::{Manner, Speaker, greeting},
};
use og_types::language::Piece;
use serde_json::{Value, json};
use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::{sleep, timeout};
use tracing_subscriber::fmt::MakeWriter;

/// The secret of the key `alice`, whose hash stands in the files.
const SECRET: &str = "correct horse battery staple";
const ALICE: &str = "[[key]]\nname = \"alice\"\nsha256 = \"c4bbcb1fbec99d65bf59d85c8cb62ee2db963f0fe106f483d9afa73bd4e39a8a\"\n";
const BEARER: (&str, &str) = ("authorization", "Bearer correct horse battery staple");
const CHAT: &str = "/v1/chat/completions";

struct Setting {
    gateway: Gateway,
    _speaker: Speaker,
    _validator: Validator,
    _directory: tempfile::TempDir,
}

/// A gateway with this file of keys, and a node that answers in this manner.
async fn setting(keys: &str, manner: Manner) -> Setting {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(Path::new(directory.path()).join(KEYS), keys).unwrap();
    let validator = Validator::start(Policy::Admits).await;
    let speaker = Speaker::start(1, manner).await;
    let gateway = Gateway::start(directory.path(), &[&speaker.url], &[&validator.url]).await;
    Setting {
        gateway,
        _speaker: speaker,
        _validator: validator,
        _directory: directory,
    }
}

fn hello() -> Manner {
    let text = |text: &str| Piece::Text(text.to_owned());
    Manner::Says(vec![text("Hel"), text("lo")])
}

fn header<'a>(response: &'a reqwest::Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn whoever_brings_no_key_is_told_so_in_its_own_format() {
    let Setting { gateway, .. } = &setting(ALICE, hello()).await;
    for (path, way) in [
        (CHAT, "/error/code"),
        ("/v1/completions", "/error/code"),
        ("/v1/responses", "/error/code"),
        ("/v1/infer", "/error/code"),
        ("/v1/messages", "/error/type"),
    ] {
        for headers in [&[][..], &[("authorization", "Bearer 0x1234")]] {
            let response = gateway.send(path, &greeting(&json!({})), headers).await;
            assert_eq!(response.status(), 401, "{path}");
            assert_eq!(header(&response, "www-authenticate"), "Bearer");
            let body: Value = response.json().await.unwrap();
            let expected = match path {
                "/v1/messages" => "authentication_error",
                _ => "invalid_api_key",
            };
            assert_eq!(body.pointer(way).unwrap(), expected, "{body}");
        }
    }
    // What is public anyway needs no key.
    assert_eq!(gateway.get("/v1/models").await.status(), 200);
    assert_eq!(gateway.get("/openapi.json").await.status(), 200);
}

#[tokio::test]
async fn a_client_sees_what_is_left_and_when_to_come_back() {
    let limits = "limits = { requests_per_minute = 2, tokens_per_minute = 1000 }\n";
    let Setting { gateway, .. } = &setting(&format!("{ALICE}{limits}"), hello()).await;
    let anthropic = ("x-api-key", SECRET);
    for (remaining, tokens) in [("1", "995"), ("0", "990")] {
        let response = gateway
            .send(CHAT, &greeting(&json!({})), &[anthropic])
            .await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "x-ratelimit-limit-requests"), "2");
        assert_eq!(
            header(&response, "x-ratelimit-remaining-requests"),
            remaining
        );
        assert!(header(&response, "x-ratelimit-reset-requests").ends_with('s'));
        assert_eq!(header(&response, "x-ratelimit-limit-tokens"), "1000");
        assert_eq!(header(&response, "x-ratelimit-remaining-tokens"), tokens);
        assert!(header(&response, "x-request-id").starts_with("req_"));
    }
    let response = gateway.send(CHAT, &greeting(&json!({})), &[BEARER]).await;
    assert_eq!(response.status(), 429);
    let seconds: u64 = header(&response, "retry-after").parse().unwrap();
    assert!((20..=30).contains(&seconds), "{seconds}");
    assert_eq!(header(&response, "x-ratelimit-remaining-requests"), "0");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["type"], "rate_limit_error");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("2 requests a minute"), "{message}");
}

#[tokio::test]
async fn a_stream_keeps_its_place_until_its_client_has_left() {
    let limits = "limits = { concurrent_requests = 1 }\n";
    let Setting { gateway, .. } = &setting(&format!("{ALICE}{limits}"), Manner::Stalls).await;
    let body = greeting(&json!({"stream": true}));
    let first = gateway.send(CHAT, &body, &[BEARER]).await;
    assert_eq!(first.status(), 200);
    let second = gateway.send(CHAT, &body, &[BEARER]).await;
    assert_eq!(second.status(), 429);
    assert_eq!(header(&second, "retry-after"), "1");
    drop(first);
    for _ in 0..400 {
        if gateway.send(CHAT, &body, &[BEARER]).await.status() == 200 {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the place did not come back");
}

#[tokio::test]
async fn who_leaves_before_a_whole_answer_pays_for_the_question() {
    let limits = "limits = { tokens_per_minute = 1000 }\n";
    let Setting { gateway, .. } = &setting(&format!("{ALICE}{limits}"), Manner::Stalls).await;
    let body = greeting(&json!({}));
    let sent = gateway.send(CHAT, &body, &[BEARER]);
    timeout(Duration::from_millis(200), sent).await.unwrap_err();
    let left = async || {
        let unknown = greeting(&json!({"model": "x"}));
        let response = gateway.send(CHAT, &unknown, &[BEARER]).await;
        let left = header(&response, "x-ratelimit-remaining-tokens");
        left.parse::<usize>().unwrap()
    };
    let expected = 1000 - body.to_string().len() / 4;
    for _ in 0..200 {
        if left().await == expected {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{} left, {expected} expected", left().await);
}

#[tokio::test]
async fn a_key_for_other_models_is_refused() {
    let Setting { gateway, .. } =
        &setting(&format!("{ALICE}models = [\"other\"]\n"), hello()).await;
    let response = gateway.send(CHAT, &greeting(&json!({})), &[BEARER]).await;
    assert_eq!(response.status(), 403);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["param"], "model");
}

#[tokio::test]
async fn operators_see_tokens_and_who_reached_a_limit() {
    let limits = "limits = { requests_per_minute = 1 }\n";
    let Setting { gateway, .. } = &setting(&format!("{ALICE}{limits}"), hello()).await;
    let body = greeting(&json!({"stream": true}));
    let response = gateway.send(CHAT, &body, &[BEARER]).await;
    assert!(response.text().await.unwrap().contains("[DONE]"));
    assert_eq!(gateway.send(CHAT, &body, &[BEARER]).await.status(), 429);
    let figures = gateway
        .ask_as_operator("/metrics")
        .await
        .text()
        .await
        .unwrap();
    for line in [
        "og_gateway_tokens_total{model=\"gpt-5\",kind=\"prompt\"} 3",
        "og_gateway_tokens_total{model=\"gpt-5\",kind=\"answer\"} 2",
        "og_gateway_first_piece_seconds_count{model=\"gpt-5\"} 1",
        "og_gateway_limited_requests_total{limit=\"requests\"} 1",
        "og_gateway_streams 0",
        "og_gateway_requests_in_progress 0",
    ] {
        assert!(figures.contains(line), "{line}\n{figures}");
    }
}

#[tokio::test]
async fn operators_see_which_node_fails() {
    let Setting { gateway, .. } = &setting("[everybody]\n", Manner::BreaksOff).await;
    let response = gateway.send(CHAT, &greeting(&json!({})), &[]).await;
    assert!(response.status().is_server_error());
    let figures = gateway
        .ask_as_operator("/metrics")
        .await
        .text()
        .await
        .unwrap();
    let line = "og_gateway_node_failures_total{node=\"0\"} 1";
    assert!(figures.contains(line), "{figures}");
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    /// The lines of this crate.
    fn ours(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let ours = text.lines().filter(|line| line.contains("\"og_gateway"));
        ours.map(str::to_owned).collect()
    }

    /// Those about requests that ended.
    fn of_visits(&self) -> Vec<Value> {
        let lines = self.ours().into_iter();
        let of_visits = lines.filter(|line| line.contains("og_gateway::visit"));
        of_visits
            .map(|line| serde_json::from_str(&line).unwrap())
            .collect()
    }
}

#[tokio::test]
async fn the_log_has_a_line_for_each_request_and_nothing_of_what_was_said() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let Setting { gateway, .. } = &setting(ALICE, hello()).await;
    let body = json!({
        "model": "gpt-5",
        "messages": [{"role": "user", "content": "my-private-question"}],
    });
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let headers = [BEARER, ("traceparent", parent)];
    let wrong = [("authorization", "Bearer mistyped-secret")];
    // Other tests log nothing. What one of them says first, while the subscriber above is new, may be taken for what nobody
    // wants to hear, and nobody asks again. So all is said once before.
    for headers in [&headers[..], &wrong] {
        let response = gateway.send(CHAT, &body, headers).await;
        response.bytes().await.unwrap();
    }
    tracing::callsite::rebuild_interest_cache();
    log.0.lock().unwrap().clear();
    let response = gateway.send(CHAT, &body, &headers).await;
    let id = header(&response, "x-request-id").to_owned();
    assert!(response.text().await.unwrap().contains("Hello"));
    assert_eq!(gateway.send(CHAT, &body, &wrong).await.status(), 401);
    // A visit may end a moment after its client has the answer.
    let mut visits = log.of_visits();
    for _ in 0..200 {
        if visits.len() == 2 {
            break;
        }
        sleep(Duration::from_millis(10)).await;
        visits = log.of_visits();
    }
    let lines = log.ours();
    for said in ["my-private-question", "Hello", SECRET, "mistyped-secret"] {
        assert!(!lines.iter().any(|line| line.contains(said)), "{said}");
    }
    visits.sort_by_key(|visit| visit["fields"]["status"].as_u64());
    let [answered, refused] = &visits[..] else {
        panic!("{visits:?}")
    };
    let fields = &answered["fields"];
    assert_eq!(fields["request"], id);
    assert_eq!(fields["trace"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(fields["route"], CHAT);
    assert_eq!(fields["key"], "alice");
    assert_eq!(fields["model"], "gpt-5");
    assert_eq!(
        (&fields["status"], &fields["prompt_tokens"]),
        (&json!(200), &json!(3))
    );
    assert!(fields["duration_ms"].is_u64());
    assert_eq!(refused["fields"]["status"], 401);
}

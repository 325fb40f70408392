//! Conversations: each published format, whole and in frames, signed, and what happens when a node fails.

use crate::{
    network::{GENESIS, Gateway, Policy, Validator},
    speaker::{Manner, Speaker, greeting},
};
use alloy_primitives::Bytes;
use og_crypto::RecordVerifier;
use og_opengradient::{TeeFields, canonical, ohttp};
use og_types::{
    Canonical as _, SignedRecord,
    language::{ONE, Piece},
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

pub(crate) fn hello() -> Manner {
    let text = |text: &str| Piece::Text(text.to_owned());
    Manner::Says(vec![text("Hel"), text("lo "), text("there")])
}

pub(crate) struct Setting {
    pub(crate) gateway: Gateway,
    pub(crate) speakers: Vec<Speaker>,
    pub(crate) validator: Validator,
    _directory: tempfile::TempDir,
}

pub(crate) async fn setting(manners: &[Manner]) -> Setting {
    let directory = tempfile::tempdir().unwrap();
    let validator = Validator::start(Policy::Admits).await;
    let mut speakers = vec![];
    for (seed, manner) in (1..).zip(manners) {
        speakers.push(Speaker::start(seed, manner.clone()).await);
    }
    let urls: Vec<_> = speakers
        .iter()
        .map(|speaker| speaker.url.as_str())
        .collect();
    let gateway = Gateway::start(directory.path(), &urls, &[&validator.url]).await;
    Setting {
        gateway,
        speakers,
        validator,
        _directory: directory,
    }
}

/// The documents in a stream's `data:` lines, without the mark of its end.
fn frames(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

#[tokio::test]
async fn a_conversation_is_answered_with_a_signed_record_and_a_receipt() {
    let setting = setting(&[hello()]).await;
    let response = setting
        .gateway
        .send("/v1/chat/completions", &greeting(&json!({"seed": 7})), &[])
        .await;
    assert_eq!(response.status(), 200);
    let record_header = response.headers()["og-record"].to_str().unwrap().to_owned();
    let receipt_header = response.headers()["og-receipt"]
        .to_str()
        .unwrap()
        .to_owned();
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello there");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(
        answer["usage"],
        json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5})
    );
    let receipt = &answer["og_receipt"];
    assert_eq!(receipt["receipt_url"], receipt_header.as_str());
    let bytes: Bytes = serde_json::from_value(receipt["record"].clone()).unwrap();
    assert_eq!(alloy_primitives::hex::encode(&bytes), record_header);
    let signed = SignedRecord::from_bytes(&bytes).unwrap();
    assert!(RecordVerifier::new(&GENESIS).verify(&signed));
    assert_eq!(signed.record.seed, 7);
    assert_eq!(setting.gateway.receipt(receipt).await.status(), 200);
    let asked = setting.speakers[0].asked.lock().unwrap();
    assert_eq!((asked[0].0.temperature, asked[0].1), (ONE, 7));
}

#[tokio::test]
async fn each_format_streams_the_same_words_and_ends_with_the_record() {
    let setting = setting(&[hello()]).await;
    let text = json!({"model": "gpt-5", "prompt": "Hi", "stream": true});
    let item = json!({"model": "gpt-5", "input": "Hi", "stream": true});
    for (path, body, way) in [
        (
            "/v1/chat/completions",
            greeting(&json!({"stream": true})),
            "/choices/0/delta/content",
        ),
        ("/v1/completions", text, "/choices/0/text"),
        ("/v1/responses", item, "/delta"),
        (
            "/v1/messages",
            greeting(&json!({"stream": true, "max_tokens": 9})),
            "/delta/text",
        ),
    ] {
        let response = setting.gateway.send(path, &body, &[]).await;
        assert_eq!(
            response.headers()["content-type"],
            "text/event-stream; charset=utf-8"
        );
        let text = response.text().await.unwrap();
        let frames = frames(&text);
        let said = frames
            .iter()
            .filter_map(|frame| frame.pointer(way)?.as_str());
        assert_eq!(said.collect::<String>(), "Hello there", "{path}");
        let with_receipt = frames
            .iter()
            .filter(|frame| frame.to_string().contains("og_receipt"));
        assert_eq!(with_receipt.count(), 1, "{path}: {text}");
    }
}

#[tokio::test]
async fn opengradients_clients_get_a_proof_that_they_can_check_and_one_last_frame() {
    let setting = setting(&[hello()]).await;
    let body = greeting(&json!({"model": "openai/gpt-5", "stream": true}));
    let theirs = [("x-settlement-type", "private")];
    let response = setting
        .gateway
        .send("/v1/chat/completions", &body, &theirs)
        .await;
    let frames = frames(&response.text().await.unwrap());
    let last = frames.last().unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(last["usage"]["completion_tokens"], 2);
    let proof: TeeFields = serde_json::from_value(last.clone()).unwrap();
    let request = canonical::chat_request(body.to_string().as_bytes()).unwrap();
    let key = crate::network::identity().signing;
    proof
        .check(key.public_key(), &request, "Hello there")
        .unwrap();
    let asked = setting.speakers[0].asked.lock().unwrap();
    assert_eq!(asked[0].0.temperature, 0, "what is signed is what was done");
}

#[tokio::test]
async fn openais_clients_get_the_proof_only_where_it_says_what_was_done() {
    let setting = setting(&[hello()]).await;
    for (fields, is_signed) in [(json!({}), false), (json!({"temperature": 0.5}), true)] {
        let response = setting
            .gateway
            .send("/v1/chat/completions", &greeting(&fields), &[])
            .await;
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer.get("tee_signature").is_some(), is_signed);
    }
}

#[tokio::test]
async fn choices_have_records_and_seeds_of_their_own() {
    let setting = setting(&[hello()]).await;
    let body = greeting(&json!({"n": 3, "seed": 40}));
    let response = setting
        .gateway
        .send("/v1/chat/completions", &body, &[])
        .await;
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["choices"].as_array().unwrap().len(), 3);
    assert_eq!(answer["og_receipt"].as_array().unwrap().len(), 3);
    assert_eq!(answer["usage"]["completion_tokens"], 6);
    let asked = setting.speakers[0].asked.lock().unwrap();
    let mut seeds: Vec<_> = asked.iter().map(|(_, seed)| *seed).collect();
    seeds.sort_unstable();
    assert_eq!(seeds, [40, 41, 42]);
}

#[tokio::test]
async fn seeds_that_are_drawn_can_be_sent_again_by_any_client() {
    let setting = setting(&[hello()]).await;
    for model in ["gpt-5", "far"] {
        let body = greeting(&json!({"model": model, "n": 2}));
        let path = "/v1/chat/completions";
        assert_eq!(setting.gateway.send(path, &body, &[]).await.status(), 200);
    }
    let asked = setting.speakers[0].asked.lock().unwrap().clone();
    let mut seeds: Vec<_> = asked.iter().map(|(_, seed)| *seed).collect();
    seeds.sort_unstable();
    // Another service gets none, as nobody chose one.
    assert_eq!(seeds[..2], [0, 0]);
    assert_eq!(seeds[2] + 1, seeds[3]);
    assert!(seeds[3] < 1 << 53, "{seeds:?}");
    let body = greeting(&json!({"model": "far", "seed": 0}));
    let response = setting
        .gateway
        .send("/v1/chat/completions", &body, &[])
        .await;
    let error: Value = response.json().await.unwrap();
    assert_eq!(error["error"]["param"], "seed", "{error}");
}

#[tokio::test]
async fn calls_of_tools_reach_the_client() {
    let call = Piece::Call {
        id: "call_0".to_owned(),
        name: "look".to_owned(),
    };
    let arguments = Piece::Arguments("{\"at\": 1}".to_owned());
    let setting = setting(&[Manner::Says(vec![call, arguments])]).await;
    let tool =
        json!({"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}});
    let body = greeting(&json!({"tools": [tool]}));
    let response = setting
        .gateway
        .send("/v1/chat/completions", &body, &[])
        .await;
    let answer: Value = response.json().await.unwrap();
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(
        choice["message"]["tool_calls"][0]["function"]["name"],
        "look"
    );
    assert_eq!(
        setting.speakers[0].asked.lock().unwrap()[0].0.tools[0].name,
        "look"
    );
}

#[tokio::test]
async fn another_node_answers_as_long_as_nothing_was_said() {
    let setting = setting(&[
        Manner::Fails("model_failed"),
        Manner::Fails("busy"),
        hello(),
    ])
    .await;
    for _ in 0..3 {
        let response = setting
            .gateway
            .send("/v1/chat/completions", &greeting(&json!({})), &[])
            .await;
        let answer: Value = response.json().await.unwrap();
        assert_eq!(
            answer["choices"][0]["message"]["content"], "Hello there",
            "{answer}"
        );
    }
}

#[tokio::test]
async fn what_was_begun_and_fails_is_an_error_and_no_answer() {
    for manner in [Manner::Lies, Manner::BreaksOff] {
        let setting = setting(&[manner.clone(), hello()]).await;
        let mut failed = 0;
        for _ in 0..2 {
            let body = greeting(&json!({"stream": true}));
            let response = setting
                .gateway
                .send("/v1/chat/completions", &body, &[])
                .await;
            let text = response.text().await.unwrap();
            if !text.contains("og_receipt") {
                failed += 1;
                assert!(
                    text.contains("broke off") || text.contains("do not make up"),
                    "{text}"
                );
                assert!(!text.contains("[DONE]"));
            }
        }
        assert_eq!(failed, 1, "{manner:?}");
    }
}

#[tokio::test]
async fn errors_have_the_status_and_the_shape_of_the_format() {
    let setting = setting(&[Manner::Fails("bad_input")]).await;
    for (body, status, param) in [
        (greeting(&json!({"model": "gpt-6"})), 404, json!("model")),
        (greeting(&json!({"model": "deaf"})), 404, json!("model")),
        (greeting(&json!({"colour": "red"})), 400, json!("colour")),
        (greeting(&json!({})), 400, Value::Null),
    ] {
        let response = setting
            .gateway
            .send("/v1/chat/completions", &body, &[])
            .await;
        assert_eq!(response.status(), status);
        let error: Value = response.json().await.unwrap();
        assert_eq!(error["error"]["param"], param, "{error}");
    }
    let body = greeting(&json!({"max_tokens": 9, "colour": "red"}));
    let response = setting.gateway.send("/v1/messages", &body, &[]).await;
    let error: Value = response.json().await.unwrap();
    assert_eq!(error["type"], "error", "{error}");
}

#[tokio::test]
async fn tokens_are_counted_before_anything_is_asked() {
    let setting = setting(&[hello()]).await;
    let path = "/v1/messages/count_tokens";
    let response = setting.gateway.send(path, &greeting(&json!({})), &[]).await;
    assert_eq!(response.status(), 200);
    let counted: Value = response.json().await.unwrap();
    let prompt = r#"[{"role":"user","content":"Hi"}]"#;
    assert_eq!(counted, json!({"input_tokens": prompt.len()}));
    assert!(setting.speakers[0].asked.lock().unwrap().is_empty());
    for (fields, status, word) in [
        (json!({"model": "far"}), 400, "cannot count"),
        (json!({"model": "deaf"}), 404, "/v1/infer"),
        (json!({"max_tokens": 9}), 400, "max_tokens"),
    ] {
        let response = setting.gateway.send(path, &greeting(&fields), &[]).await;
        assert_eq!(response.status(), status);
        let error: Value = response.json().await.unwrap();
        assert_eq!(error["type"], "error");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains(word), "{message}");
    }
}

#[tokio::test]
async fn what_a_model_refuses_is_called_as_the_client_calls_it() {
    let setting = setting(&[Manner::Refuses("prompt[0].content[1]")]).await;
    let text = json!({"model": "gpt-5", "prompt": "Hi"});
    let item = json!({"model": "gpt-5", "input": "Hi"});
    for (path, mut body, param) in [
        (
            "/v1/chat/completions",
            greeting(&json!({})),
            "messages[0].content[1]",
        ),
        ("/v1/completions", text, "prompt"),
        ("/v1/responses", item, "input"),
    ] {
        for stream in [false, true] {
            body["stream"] = json!(stream);
            let response = setting.gateway.send(path, &body, &[]).await;
            assert_eq!(response.status(), 400);
            let error: Value = response.json().await.unwrap();
            assert_eq!(error["error"]["param"], param, "{error}");
            assert_eq!(error["error"]["code"], "unsupported_parameter");
            let message = format!("'{param}' is too much");
            assert_eq!(error["error"]["message"], message.as_str());
        }
    }
    let body = greeting(&json!({"max_tokens": 9}));
    let response = setting.gateway.send("/v1/messages", &body, &[]).await;
    let error: Value = response.json().await.unwrap();
    assert_eq!(error["error"]["message"], "'messages' is too much");
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_work_for_it() {
    let setting = setting(&[Manner::Stalls]).await;
    let body = greeting(&json!({"stream": true}));
    let mut response = setting
        .gateway
        .send("/v1/chat/completions", &body, &[])
        .await;
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    setting.speakers[0].is_free().await;
    // One that waits for a whole answer.
    let body = greeting(&json!({}));
    let sent = setting.gateway.send("/v1/chat/completions", &body, &[]);
    timeout(Duration::from_millis(200), sent).await.unwrap_err();
    assert_eq!(setting.speakers[0].asked.lock().unwrap().len(), 2);
    setting.speakers[0].is_free().await;
}

#[tokio::test]
async fn an_answer_that_is_wanted_whole_may_come_from_another_node_until_its_end() {
    let setting = setting(&[Manner::BreaksOff, hello()]).await;
    for _ in 0..2 {
        let body = greeting(&json!({}));
        let response = setting
            .gateway
            .send("/v1/chat/completions", &body, &[])
            .await;
        let answer: Value = response.json().await.unwrap();
        let said = &answer["choices"][0]["message"]["content"];
        assert_eq!(said, "Hello there", "{answer}");
    }
}

#[tokio::test]
async fn where_all_nodes_are_busy_the_client_is_told_to_come_back() {
    let setting = setting(&[Manner::Fails("model_failed"), Manner::Fails("busy")]).await;
    let mut statuses = vec![];
    for stream in [false, false, true, true] {
        let body = greeting(&json!({"stream": stream}));
        let response = setting
            .gateway
            .send("/v1/chat/completions", &body, &[])
            .await;
        statuses.push(response.status().as_u16());
        let has_wait = response.headers().contains_key("retry-after");
        assert_eq!(has_wait, response.status() == 429);
    }
    // What the last of them said.
    assert_eq!(statuses, [429, 502, 429, 502]);
}

#[tokio::test]
async fn a_sealed_conversation_is_answered_sealed_whole_and_in_chunks() {
    let setting = setting(&[hello()]).await;
    let identity = crate::network::identity();
    let config = identity.ohttp.config();
    // What is signed is what the client wrote, labels that are no part of the question left out.
    let parameters = json!({"type": "object", "maxProperties": 1e22});
    let tool = json!({"type": "function", "function": {"name": "look", "parameters": parameters}});
    let body = greeting(&json!({"tools": [tool], "user": "me", "request_id": "17"}));
    let request = canonical::chat_request(body.to_string().as_bytes()).unwrap();
    let seal = || {
        let bytes = body.to_string().into_bytes();
        ohttp::seal_request(&config, &bytes, &mut rand::rng()).unwrap()
    };
    let check = |answer: &Value| {
        let proof: TeeFields = serde_json::from_value(answer.clone()).unwrap();
        proof
            .check(identity.signing.public_key(), &request, "Hello there")
            .unwrap();
    };

    let (sealed, opener) = seal();
    let response = setting.gateway.post_sealed(sealed, false).await;
    assert_eq!(response.headers()["content-type"], "message/ohttp-res");
    let opened = opener.open(&response.bytes().await.unwrap()).unwrap();
    check(&serde_json::from_slice(&opened).unwrap());

    let (sealed, opener) = seal();
    let response = setting.gateway.post_sealed(sealed, true).await;
    let mut chunks = opener.open_chunks();
    let mut opened = chunks
        .push(&response.bytes().await.unwrap())
        .unwrap()
        .concat();
    opened.extend(chunks.finish().unwrap());
    let text = String::from_utf8(opened).unwrap();
    check(frames(&text).last().unwrap());
    assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
}

#[tokio::test]
async fn what_fails_inside_a_sealed_request_is_told_sealed() {
    let setting = setting(&[hello()]).await;
    let config = crate::network::identity().ohttp.config();
    let body = greeting(&json!({"endpoint": "images"})).to_string();
    for chunked in [false, true] {
        let sealed = ohttp::seal_request(&config, body.as_bytes(), &mut rand::rng());
        let (sealed, opener) = sealed.unwrap();
        let response = setting.gateway.post_sealed(sealed, chunked).await;
        assert_eq!(response.status(), 200);
        let bytes = response.bytes().await.unwrap();
        let opened = if chunked {
            let mut chunks = opener.open_chunks();
            let opened = chunks.push(&bytes).unwrap().concat();
            chunks.finish().unwrap();
            opened
        } else {
            opener.open(&bytes).unwrap()
        };
        assert!(String::from_utf8(opened).unwrap().contains("endpoint"));
    }
}

#[tokio::test]
async fn the_keys_are_told() {
    let setting = setting(&[hello()]).await;
    let identity = crate::network::identity();
    let keys = setting.gateway.get("/signing-key").await;
    let keys: Value = keys.json().await.unwrap();
    assert_eq!(keys["tee_id"], identity.signing.tee_id().to_string());
    assert_eq!(keys["evidence"], "simulated");
    let config = setting.gateway.get("/v1/ohttp/config").await;
    let config: Value = config.json().await.unwrap();
    assert_eq!(config["public_key"], keys["hpke"]["public_key"]);
    let health: Value = setting.gateway.get("/health").await.json().await.unwrap();
    assert_eq!(health["tee_enabled"], true);
}

//! Vectors of other services: what is sent, what comes back, which server is asked.

use crate::{
    limits,
    player::{Player, answer},
};
use og_types::embedding::Texts;
use og_upstream::{AskError, Limits, Upstream, UpstreamAccess, UpstreamError};
use serde_json::json;

fn model(hosts: &[&str], limits: Limits) -> Upstream {
    let urls: Vec<_> = hosts
        .iter()
        .map(|host| format!("http://{host}/v1"))
        .collect();
    let file = format!("[relay]\ntask = \"embeddings\"\nurls = {urls:?}\nmodel = \"m\"\n");
    Upstream::new(&file, &UpstreamAccess::default(), limits).unwrap()
}

fn texts() -> Texts {
    Texts {
        texts: vec!["Hi".to_owned(), "é".to_owned()],
        dimensions: Some(2),
    }
}

#[tokio::test]
async fn texts_go_out_and_vectors_come_back_in_their_order() {
    let said = r#"{"data":[{"index":1,"embedding":[0.5,-1]},{"index":0,"embedding":[0.1,3e-8]}],"model":"m-2","usage":{"prompt_tokens":3}}"#;
    let server = Player::new(move |_| answer("200 OK", "", said)).await;
    let upstream = model(&[&server.host], limits());
    assert!(upstream.embeds());
    let vectors = upstream.embed(&texts()).await.unwrap();
    assert_eq!(vectors.vectors, [[0.1, 3e-8], [0.5, -1.0]]);
    assert_eq!(
        (vectors.prompt_tokens, vectors.upstream),
        (Some(3), server.host.clone())
    );
    assert_eq!(vectors.upstream_model, "m-2");
    let asked = server.seen.questions();
    assert_eq!(asked[0].line, "POST /v1/embeddings");
    assert_eq!(
        asked[0].body,
        json!({"model": "m", "input": ["Hi", "é"], "dimensions": 2})
    );
}

#[tokio::test]
async fn a_server_that_fails_is_not_the_last_one_asked_and_one_that_refuses_is() {
    let said = r#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[2]}]}"#;
    let fails = Player::new(|_| answer("500 Oops", "", "{}")).await;
    let well = Player::new(move |_| answer("200 OK", "", said)).await;
    let upstream = model(&[&fails.host, &well.host], limits());
    for _ in 0..2 {
        assert_eq!(upstream.embed(&texts()).await.unwrap().upstream, well.host);
    }
    let said = r#"{"error":{"message":"too many","param":"dimensions"}}"#;
    let strict = Player::new(move |_| answer("400 Bad Request", "", said)).await;
    let error = model(&[&strict.host, &well.host], limits());
    let mut refusals = vec![];
    for _ in 0..2 {
        refusals.extend(error.embed(&texts()).await.err());
    }
    let [AskError::Refused(refusal)] = &refusals[..] else {
        panic!("{refusals:?}");
    };
    assert_eq!(refusal.input.as_deref(), Some("dimensions"));
}

#[tokio::test]
async fn vectors_that_are_not_those_of_the_texts_are_no_answer() {
    let most = Limits {
        vectors_bytes: 100,
        ..limits()
    };
    for body in [
        r#"{"data":[{"index":0,"embedding":[1]}]}"#.to_owned(),
        "[]".to_owned(),
        format!("{{\"data\":[{}]}}", "0,".repeat(1000)),
    ] {
        let said = body.clone();
        let server = Player::new(move |_| answer("200 OK", "", &said)).await;
        let error = model(&[&server.host], most)
            .embed(&texts())
            .await
            .unwrap_err();
        assert!(matches!(error, AskError::Failed(_)), "{body}: {error}");
    }
}

#[test]
fn services_with_another_api_for_vectors_are_refused() {
    for service in ["anthropic", "google"] {
        let file = format!(
            "[relay]\nservice = {service:?}\ntask = \"embeddings\"\nurl = \"https://a.example\"\nmodel = \"m\"\n"
        );
        let error = Upstream::new(&file, &UpstreamAccess::default(), limits());
        assert!(matches!(error, Err(UpstreamError::File(_))), "{service}");
    }
}

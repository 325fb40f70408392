//! What comes through, what does not, and when.

use crate::{
    gateway::Gateway,
    support::{Relay, error, sealed},
};
use std::collections::BTreeSet;

#[tokio::test]
async fn an_answer_comes_through_and_nothing_tells_the_gateway_whose_question_it_is() {
    let gateway = Gateway::begin().await;
    let relay = Relay::of(&gateway).await;
    let (question, opener) = sealed("question");
    let response = relay
        .request(5, question)
        .header("authorization", "Bearer client")
        .header("cookie", "client=1")
        .header("user-agent", "client")
        .header("x-forwarded-for", "203.0.113.1")
        .header("forwarded", "for=203.0.113.1")
        .header("x-request-id", "client")
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), 200);
    // And nothing of the gateway's but the answer.
    let names: BTreeSet<_> = response
        .headers()
        .keys()
        .map(|name| name.to_string())
        .collect();
    let expected = ["cache-control", "content-type", "date", "transfer-encoding"];
    assert_eq!(names, expected.map(str::to_owned).into());
    assert_eq!(response.headers()["content-type"], "message/ohttp-res");
    let answer = response.bytes().await.expect("bytes");
    assert_eq!(opener.open(&answer), Ok(b"answer to question".to_vec()));

    let heads = gateway.heads.lock().expect("heads");
    let names: BTreeSet<_> = heads[0].keys().map(|name| name.as_str()).collect();
    assert_eq!(
        names,
        ["accept", "content-length", "content-type", "host"].into()
    );
    assert_eq!(heads[0]["accept"], "message/ohttp-res");
    assert_eq!(heads[0]["content-type"], "message/ohttp-req");
}

#[tokio::test]
async fn clients_name_gateways_with_and_without_prefix() {
    let relay = Relay::of(&Gateway::begin().await).await;
    let tee_id = crate::gateway::IDENTITY.signing.tee_id();
    let digits = alloy_primitives::hex::encode(tee_id);
    for name in [digits.clone(), format!("0x{digits}"), digits.to_uppercase()] {
        let (question, _) = sealed("question");
        let request = relay.request(1, question);
        let mut request = request.build().expect("a request");
        let value = name.parse().expect("a header");
        request.headers_mut().insert("x-tee-id", value);
        let response = reqwest::Client::new()
            .execute(request)
            .await
            .expect("an answer");
        assert_eq!(response.status(), 200, "{name}");
    }
}

#[tokio::test]
async fn a_stream_comes_as_it_is_made_and_without_what_is_meant_for_the_relay() {
    let gateway = Gateway::begin().await;
    let relay = Relay::of(&gateway).await;
    let (question, opener) = sealed("stream");
    let request = relay.request(1, question).header("x-ohttp-stream", "true");
    let mut response = request.send().await.expect("an answer");
    assert_eq!(
        response.headers()["content-type"],
        "message/ohttp-chunked-res"
    );
    assert_eq!(
        gateway.heads.lock().expect("heads")[0]["accept"],
        "message/ohttp-chunked-res"
    );
    let mut opener = opener.open_chunks();
    let mut chunks = Vec::new();
    for seen in 1..=3 {
        // The gateway makes the next chunk when this one is here.
        while chunks.len() < seen {
            let part = response.chunk().await.expect("bytes").expect("more");
            chunks.extend(opener.push(&part).expect("chunks"));
        }
        assert_eq!(chunks.len(), seen);
        gateway.steps.add_permits(1);
    }
    while let Some(part) = response.chunk().await.expect("bytes") {
        chunks.extend(opener.push(&part).expect("chunks"));
    }
    assert_eq!(chunks, [b"0", b"1", b"2"]);
    assert_eq!(opener.finish(), Ok(b"end".to_vec()));
}

#[tokio::test]
async fn a_client_notices_when_a_gateway_breaks_off_or_sends_something_else() {
    let gateway = Gateway::begin().await;
    gateway.steps.add_permits(2);
    let relay = Relay::of(&gateway).await;
    let (response, opener) = relay.ask("stream, broken off").await;
    let mut opener = opener.open_chunks();
    let pushed = opener.push(&response.bytes().await.expect("bytes"));
    assert_eq!(pushed.map(|chunks| chunks.len()), Ok(3));
    assert!(opener.finish().is_err());
    let broken = relay.request(1, sealed("not a stream").0).send().await;
    let whole = async { broken?.bytes().await };
    assert!(whole.await.is_err());
}

#[tokio::test]
async fn refusals_of_a_gateway_come_through_and_other_pages_do_not() {
    let relay = Relay::of(&Gateway::begin().await).await;
    let (response, _) = relay.ask("refuse").await;
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(error(response).await, (429, "full".to_owned()));
    let response = relay
        .request(1, vec![1; 100])
        .send()
        .await
        .expect("an answer");
    assert_eq!(error(response).await, (400, "malformed".to_owned()));
    let (response, _) = relay.ask("refuse in HTML").await;
    let expected = "the gateway refuses the request with status 404 Not Found";
    assert_eq!(error(response).await, (404, expected.to_owned()));
    for question in ["redirect", "unsealed"] {
        let (response, _) = relay.ask(question).await;
        let expected = "the gateway's answer is not sealed";
        assert_eq!(
            error(response).await,
            (502, expected.to_owned()),
            "{question}"
        );
    }
}

#[tokio::test]
async fn requests_that_cannot_be_passed_on_are_refused_with_a_reason() {
    let relay = Relay::of(&Gateway::begin().await).await;
    let client = reqwest::Client::new();
    let plain = client
        .post(&relay.url)
        .body("question")
        .send()
        .await
        .expect("an answer");
    assert_eq!(error(plain).await.0, 400);
    let unsealed = relay.request(1, vec![]).build().expect("a request");
    let mut other_type = unsealed.try_clone().expect("a request");
    let json = "application/json".parse().expect("a header");
    other_type.headers_mut().insert("content-type", json);
    let response = client.execute(other_type).await.expect("an answer");
    assert_eq!(error(response).await.0, 415);
    let mut other_gateway = unsealed;
    let unknown = "00".repeat(32).parse().expect("a header");
    other_gateway.headers_mut().insert("x-tee-id", unknown);
    let response = client.execute(other_gateway).await.expect("an answer");
    assert_eq!(error(response).await.0, 404);
    let response = client.get(&relay.url).send().await.expect("an answer");
    assert_eq!(error(response).await.0, 405);
    let response = client
        .get(format!("{}/x", relay.url))
        .send()
        .await
        .expect("an answer");
    assert_eq!(error(response).await.0, 404);
}

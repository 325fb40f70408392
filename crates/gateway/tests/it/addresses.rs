//! What each address may use of a gateway that has no file of keys.

use crate::{
    network::{Gateway, Policy, Validator, config},
    speaker::{Manner, Speaker, greeting},
    talks::hello,
};
use og_gateway::KeyLimits;
use serde_json::{Value, json};
use std::{net::IpAddr, num::NonZeroU32, time::Duration};
use tokio::time::sleep;

const CHAT: &str = "/v1/chat/completions";
const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

struct Setting {
    gateway: Gateway,
    _speaker: Speaker,
    _validator: Validator,
    _directory: tempfile::TempDir,
}

/// A gateway with these limits, which believes these proxies, and a node that answers in this manner.
async fn setting(limits: KeyLimits, proxies: &[IpAddr], manner: Manner) -> Setting {
    let directory = tempfile::tempdir().unwrap();
    let validator = Validator::start(Policy::Admits).await;
    let speaker = Speaker::start(1, manner).await;
    let mut config = config(directory.path(), &[&speaker.url], &[&validator.url]);
    config.address_limits = limits;
    config.trusted_proxies = proxies.to_vec();
    Setting {
        gateway: Gateway::start_as(config).await,
        _speaker: speaker,
        _validator: validator,
        _directory: directory,
    }
}

fn requests(per_minute: u32) -> KeyLimits {
    KeyLimits {
        requests_per_minute: NonZeroU32::new(per_minute),
        ..KeyLimits::default()
    }
}

/// Asks for a client at this address, as a proxy on this machine does; the answer's status.
async fn ask(gateway: &Gateway, client: &str) -> u16 {
    let forwarded = ("x-forwarded-for", client);
    let question = greeting(&json!({}));
    let answer = gateway.send(CHAT, &question, &[forwarded]).await;
    answer.status().as_u16()
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_told_when_to_come_back_and_others_are_answered() {
    let Setting { gateway, .. } = &setting(requests(2), &[PROXY], hello()).await;
    for expected in [200, 200, 429] {
        assert_eq!(ask(gateway, "203.0.113.7").await, expected);
    }
    assert_eq!(ask(gateway, "203.0.113.8").await, 200);
    // A key that nobody knows is no way around it.
    let headers = [
        ("x-forwarded-for", "203.0.113.7"),
        ("authorization", "Bearer sk-other"),
    ];
    let refused = gateway.send(CHAT, &greeting(&json!({})), &headers).await;
    assert_eq!(refused.status(), 429);
    let wait = refused.headers()["retry-after"].to_str().unwrap();
    let wait: u64 = wait.parse().unwrap();
    assert!((20..=30).contains(&wait), "{wait}");
    assert_eq!(refused.headers()["x-ratelimit-remaining-requests"], "0");
    let body: Value = refused.json().await.unwrap();
    let error = &body["error"];
    assert_eq!(error["type"], "rate_limit_error", "{body}");
    assert_eq!(error["code"], "rate_limit_exceeded", "{body}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("2 requests a minute"), "{message}");
}

#[tokio::test]
async fn a_network_of_ipv6_is_one_client() {
    let Setting { gateway, .. } = &setting(requests(1), &[PROXY], hello()).await;
    assert_eq!(ask(gateway, "2001:db8::1").await, 200);
    assert_eq!(ask(gateway, "2001:db8::2").await, 429);
    assert_eq!(ask(gateway, "2001:db8:0:1::1").await, 200);
}

#[tokio::test]
async fn an_address_has_so_many_requests_at_a_time() {
    let limits = KeyLimits {
        concurrent_requests: NonZeroU32::new(1),
        ..KeyLimits::default()
    };
    let Setting { gateway, .. } = &setting(limits, &[PROXY], Manner::Stalls).await;
    let stream = greeting(&json!({"stream": true}));
    let open = async |client| {
        let forwarded = ("x-forwarded-for", client);
        gateway.send(CHAT, &stream, &[forwarded]).await
    };
    let first = open("203.0.113.7").await;
    assert_eq!(first.status(), 200);
    let second = open("203.0.113.7").await;
    assert_eq!(second.status(), 429);
    assert_eq!(second.headers()["retry-after"], "1");
    assert_eq!(open("203.0.113.8").await.status(), 200);
    drop(first);
    for _ in 0..400 {
        if open("203.0.113.7").await.status() == 200 {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("the place did not come back");
}

#[tokio::test]
async fn programs_on_the_same_machine_are_not_limited_and_cannot_name_others() {
    let Setting { gateway, .. } = &setting(requests(1), &[], hello()).await;
    for _ in 0..3 {
        assert_eq!(ask(gateway, "203.0.113.7").await, 200);
    }
}

//! What an operator's tools get.

use og_http::{Check, Operated, Readiness, operator};
use prometheus_client::encoding::text::encode;
use reqwest::StatusCode;
use std::{sync::Arc, time::Duration};
use tokio::net::TcpListener;

struct Node {
    peers: usize,
    checks_take: Duration,
}

impl Operated for Node {
    async fn checks(&self) -> Vec<Check> {
        tokio::time::sleep(self.checks_take).await;
        vec![
            Check::new("disk", true, "there is room"),
            Check::new("peers", self.peers > 1, format!("{} peers", self.peers)),
        ]
    }

    async fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &operator::registry("test")).unwrap();
        text
    }
}

async fn ask(node: Node, path: &str) -> (StatusCode, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{path}", listener.local_addr().unwrap());
    let server = operator::serve(listener, Arc::new(node), std::future::pending());
    let server = tokio::spawn(server);
    let response = reqwest::get(url).await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    server.abort();
    (status, text)
}

fn node(peers: usize) -> Node {
    Node {
        peers,
        checks_take: Duration::ZERO,
    }
}

#[tokio::test]
async fn a_node_is_ready_when_every_check_holds() {
    let (status, text) = ask(node(2), "/readyz").await;
    assert_eq!(status, StatusCode::OK);
    let readiness: Readiness = serde_json::from_str(&text).unwrap();
    assert!(readiness.ready);
    assert_eq!(readiness.reasons(), "");

    let (status, text) = ask(node(1), "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let readiness: Readiness = serde_json::from_str(&text).unwrap();
    assert!(!readiness.ready);
    assert_eq!(readiness.reasons(), "1 peers");
}

#[tokio::test(start_paused = true)]
async fn checks_that_take_too_long_are_not_ready_and_the_node_is_alive() {
    let stuck = || Node {
        peers: 2,
        checks_take: Duration::from_secs(3600),
    };
    let (status, text) = ask(stuck(), "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("overloaded"), "{text}");
    assert_eq!(ask(stuck(), "/healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn figures_say_what_the_node_is() {
    let (status, text) = ask(node(2), "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("og_node_info{role=\"test\","), "{text}");
}

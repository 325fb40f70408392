//! A relay that runs, and clients of it.

use crate::{
    chain::{CHAIN_ID, Chain, REGISTRY},
    gateway::{Gateway, IDENTITY},
};
use og_opengradient::ohttp::{Opener, seal_request};
use og_relay::RelayConfig;
use rand::{SeedableRng as _, rngs::StdRng};
use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};
use tokio::net::TcpListener;

/// The proxy that relays trust.
pub(crate) const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 99));

/// A relay that runs.
pub(crate) struct Relay {
    pub(crate) url: String,
    pub(crate) operators: String,
}

impl Relay {
    pub(crate) async fn begin(rpc: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let operators = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let relay = Self {
            url: format!(
                "http://{}/api/v1/chat/ohttp",
                listener.local_addr().expect("an address")
            ),
            operators: format!("http://{}", operators.local_addr().expect("an address")),
        };
        let config = RelayConfig {
            rpc,
            chain_id: CHAIN_ID,
            registry: REGISTRY,
            trusted_proxies: vec![PROXY],
        };
        tokio::spawn(async move {
            og_relay::serve(listener, operators, &config, std::future::pending()).await
        });
        relay
    }

    /// A relay for this gateway.
    pub(crate) async fn of(gateway: &Gateway) -> Self {
        let chain = Chain::begin(CHAIN_ID, vec![gateway.row.clone()]).await;
        Self::begin(vec![chain.url]).await
    }

    /// A request from 127.0.0.`host`, as published clients send it.
    pub(crate) fn request(&self, host: u8, sealed: Vec<u8>) -> RequestBuilder {
        let client = reqwest::Client::builder()
            .local_address(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host)))
            .build()
            .expect("a client");
        let tee_id = IDENTITY.signing.tee_id().to_string();
        client
            .post(&self.url)
            .header("content-type", "message/ohttp-req")
            .header("x-tee-id", tee_id.trim_start_matches("0x"))
            .body(sealed)
    }

    /// Waits until so many requests are in progress.
    pub(crate) async fn until_in_progress(&self, requests: usize) {
        let expected = format!("og_relay_requests_in_progress {requests}\n");
        loop {
            let figures = reqwest::get(format!("{}/metrics", self.operators)).await;
            let figures = figures.expect("an answer").text().await.expect("text");
            if figures.contains(&expected) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asks, from 127.0.0.1.
    pub(crate) async fn ask(&self, question: &str) -> (Response, Opener) {
        let (sealed, opener) = sealed(question);
        let response = self.request(1, sealed).send().await.expect("an answer");
        (response, opener)
    }
}

/// A question, sealed for the gateway.
pub(crate) fn sealed(question: &str) -> (Vec<u8>, Opener) {
    let mut random = StdRng::seed_from_u64(2);
    seal_request(&IDENTITY.ohttp.config(), question.as_bytes(), &mut random).expect("sealed")
}

/// An error, as published clients read it.
pub(crate) async fn error(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.expect("JSON");
    let text = body["error"].as_str().expect("a text");
    (status, text.to_owned())
}

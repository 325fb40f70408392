//! Asking the network: HTTP to gateways, JSON-RPC to validators; every answer bounded.

mod gateway;
mod operator;
mod rpc;
mod settled;
mod transactions;

pub(crate) use gateway::{Answer, Gateway, GatewayArgs, OfferedModel};
pub(crate) use operator::{metrics, readiness};
pub(crate) use rpc::{Block, Rpc, RpcArgs, RpcError};
pub(crate) use settled::Settled;
pub(crate) use transactions::{Draft, Terms};

use anyhow::{Context as _, ensure};
use std::time::Duration;

/// How long a service may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a service may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

fn http() -> reqwest::Client {
    // Fails only where TLS cannot be set up, and none is compiled in: then the default fails alike.
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(ANSWER_TIMEOUT)
        .build()
        .unwrap_or_default()
}

/// A response's body, of bounded length.
async fn body(mut response: reqwest::Response) -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.context("the answer was cut short")? {
        ensure!(
            body.len() + chunk.len() <= MAX_ANSWER_BYTES,
            "the answer is longer than {MAX_ANSWER_BYTES} bytes"
        );
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

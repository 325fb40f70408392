//! HTTP to a node's operator interface.

use super::{body, http};
use anyhow::Context as _;
use og_node::Readiness;
use std::{net::SocketAddr, time::Duration};

/// How long a node may take to say whether it is ready: less than its own limit would hide what
/// it says then.
const READINESS_TIMEOUT: Duration = Duration::from_secs(12);

/// Whether the node whose operators connect to `address` is ready, and why not.
pub(crate) async fn readiness(address: SocketAddr) -> anyhow::Result<Readiness> {
    let response = http()
        .get(format!("http://{address}/readyz"))
        .timeout(READINESS_TIMEOUT)
        .send()
        .await
        .context("the node does not answer")?;
    serde_json::from_slice(&body(response).await?).context("this is no node of this version")
}

/// The figures of the node whose operators connect to `address`, as Prometheus reads them.
pub(crate) async fn metrics(address: SocketAddr) -> anyhow::Result<String> {
    let response = http()
        .get(format!("http://{address}/metrics"))
        .timeout(READINESS_TIMEOUT)
        .send()
        .await
        .context("the node does not answer")?;
    Ok(String::from_utf8(body(response).await?)?)
}

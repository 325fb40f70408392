//! Reading the chain's registry of gateways, with the two methods that published clients use:
//! `eth_chainId` and `eth_call`.

use crate::{
    RelayError,
    config::{CONNECT_TIMEOUT, MAX_RPC_ANSWER_BYTES, RPC_TIMEOUT, RelayConfig},
    rows::{self, RowsError, TEEInfo},
};
use alloy_primitives::{Address, Bytes, U64};
use axum::http::{Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::crypto::aws_lc_rs;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;
use tracing::warn;

/// An HTTP client, over TLS or not.
pub(crate) type HttpClient = Client<HttpsConnector<HttpConnector>, Full<bytes::Bytes>>;

/// Why a node of the chain gave no rows.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("no answer within {} s", RPC_TIMEOUT.as_secs())]
    Timeout,
    #[error("no answer: {0}")]
    Transport(String),
    #[error("it answers with an error: {0}")]
    Refused(String),
    #[error("it is of chain {0}, not of this one")]
    Chain(u64),
    #[error("its answer cannot be read: {0}")]
    Malformed(String),
    #[error(transparent)]
    Rows(#[from] RowsError),
}

#[derive(Deserialize)]
struct Answer<T> {
    result: Option<T>,
    #[serde(default)]
    error: Value,
}

/// Reads the registry from the first node that answers.
#[derive(Debug)]
pub(crate) struct Registry {
    client: HttpClient,
    urls: Vec<Uri>,
    chain_id: u64,
    address: Address,
}

impl Registry {
    pub(crate) fn new(config: &RelayConfig) -> Result<Self, RelayError> {
        let urls = config.rpc.iter().zip(1..).map(|(url, number)| {
            let parsed = url.parse::<Uri>().ok();
            let parsed = parsed.filter(|uri| uri.scheme().is_some() && uri.host().is_some());
            parsed.ok_or(RelayError::RpcUrl(number))
        });
        let urls: Vec<_> = urls.collect::<Result<_, _>>()?;
        if urls.is_empty() {
            return Err(RelayError::NoRpc);
        }
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(aws_lc_rs::default_provider())?
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp());
        Ok(Self {
            client: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(Duration::from_secs(1))
                .build(connector),
            urls,
            chain_id: config.chain_id,
            address: config.registry,
        })
    }

    /// The rows of active gateways, or `None` if no node gives them; the log says why.
    pub(crate) async fn read(&self) -> Option<Vec<TEEInfo>> {
        for url in &self.urls {
            let rows = timeout(RPC_TIMEOUT, self.read_from(url)).await;
            match rows.unwrap_or(Err(ReadError::Timeout)) {
                Ok(rows) => return Some(rows),
                Err(error) => {
                    // No more of the URL than its host: the rest may hold a key.
                    let host = url.host().unwrap_or_default();
                    warn!(host, %error, "the registry cannot be read from a node");
                }
            }
        }
        None
    }

    async fn read_from(&self, url: &Uri) -> Result<Vec<TEEInfo>, ReadError> {
        let chain_id: U64 = self.ask(url, "eth_chainId", json!([])).await?;
        if chain_id.to::<u64>() != self.chain_id {
            return Err(ReadError::Chain(chain_id.to()));
        }
        let question = Bytes::from(rows::question());
        let call = json!({ "to": self.address, "data": question });
        let answer: Bytes = self.ask(url, "eth_call", json!([call, "latest"])).await?;
        Ok(rows::read(&answer)?)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        url: &Uri,
        method: &str,
        parameters: Value,
    ) -> Result<T, ReadError> {
        let question = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": parameters });
        let request = Request::builder()
            .method(Method::POST)
            .uri(url)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(question.to_string()))
            .map_err(|error| ReadError::Transport(error.to_string()))?;
        let response = self.client.request(request).await;
        let response = response.map_err(|error| ReadError::Transport(error.to_string()))?;
        let body = Limited::new(response.into_body(), MAX_RPC_ANSWER_BYTES);
        let body = body.collect().await;
        let body = body.map_err(|error| ReadError::Transport(error.to_string()))?;
        let answer: Answer<T> = serde_json::from_slice(&body.to_bytes())
            .map_err(|error| ReadError::Malformed(error.to_string()))?;
        answer
            .result
            .ok_or_else(|| ReadError::Refused(answer.error.to_string()))
    }
}

/// Connects in time or not at all.
pub(crate) fn tcp() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector
}

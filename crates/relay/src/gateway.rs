//! One gateway: where it is, and the connections to it, which all clients share.

use crate::{
    config::{ANSWER_TIMEOUT, IDLE_TIMEOUT, MAX_IDLE_CONNECTIONS},
    registry::{HttpClient, tcp},
    rows::{self, RowsError, TEEInfo},
    tls,
};
use axum::http::{Method, Request, Response, Uri, header, uri::InvalidUri};
use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use og_opengradient::ohttp;
use tokio::time::timeout;

/// Where a gateway takes sealed requests, below its endpoint.
const PATH: &str = "/v1/ohttp";

/// Why a row gives no gateway that can be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowError {
    #[error("its key for sealed requests has {0} bytes: it takes none")]
    NoOhttp(usize),
    #[error("its endpoint is not an https URL")]
    Endpoint,
    #[error("its endpoint is not a URL: {0}")]
    Uri(#[from] InvalidUri),
    #[error("its certificate cannot be trusted: {0}")]
    Certificate(#[from] rustls::Error),
}

/// Why a gateway gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("it does not answer within {} s", ANSWER_TIMEOUT.as_secs())]
    Timeout,
    #[error("it cannot be reached, or shows another certificate than the registry's: {0}")]
    Unreachable(String),
}

/// A gateway of the registry.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// As in the registry.
    endpoint: String,
    certificate: Vec<u8>,
    url: Uri,
    client: HttpClient,
}

impl Gateway {
    /// The gateway of a row of the registry, which anybody may have written.
    pub(crate) fn new(row: &TEEInfo) -> Result<Self, RowError> {
        let key = row.ohttpConfig.publicKey.len();
        if key != ohttp::KEY_BYTES {
            return Err(RowError::NoOhttp(key));
        }
        let url: Uri = format!("{}{PATH}", row.endpoint.trim_end_matches('/')).parse()?;
        if url.scheme_str() != Some("https") || url.query().is_some() {
            return Err(RowError::Endpoint);
        }
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::pinned(&row.tlsCertificate)?)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp());
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
            .build(connector);
        Ok(Self {
            endpoint: row.endpoint.clone(),
            certificate: row.tlsCertificate.to_vec(),
            url,
            client,
        })
    }

    /// Whether it is still what the row says, so that its connections may be kept.
    pub(crate) fn is_of(&self, row: &TEEInfo) -> bool {
        self.endpoint == row.endpoint && self.certificate == row.tlsCertificate.as_ref()
    }

    /// Sends a sealed request, with nothing that tells whose it is, and waits for the head of the
    /// answer.
    pub(crate) async fn ask(
        &self,
        sealed: Bytes,
        accept: &'static str,
    ) -> Result<Response<hyper::body::Incoming>, AskError> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.url.clone())
            .header(header::CONTENT_TYPE, ohttp::REQUEST_MEDIA_TYPE)
            .header(header::ACCEPT, accept)
            .body(Full::new(sealed))
            .map_err(|error| AskError::Unreachable(error.to_string()))?;
        let answer = timeout(ANSWER_TIMEOUT, self.client.request(request));
        let answer = answer.await.map_err(|_| AskError::Timeout)?;
        answer.map_err(|error| AskError::Unreachable(error_chain(&error)))
    }
}

/// How many gateways a relay could ask of those that an answer of the registry's `getActiveTEEs` names.
///
/// # Errors
/// [`RowsError`] if it is no such answer.
pub fn usable_gateways(answer: &[u8]) -> Result<usize, RowsError> {
    let rows = rows::read(answer)?;
    Ok(rows.iter().filter(|row| Gateway::new(row).is_ok()).count())
}

/// An error and what caused it: the client's own text stops short of the reason.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

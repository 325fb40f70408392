//! Asking one server over HTTP: bounded in time and size, its key sent to nobody else, its errors told apart.

use super::UpstreamKeys;
use crate::backend::RunError;
use og_types::limits::MAX_PAYLOAD_BYTES;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::{fmt, sync::Arc, time::Duration};
use ureq::{
    Agent, Proxy,
    http::{StatusCode, Uri, header::AUTHORIZATION},
    tls::TlsConfig,
};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// Most bytes of an answer: what is passed on of it fits a response.
const MAX_ANSWER_BYTES: u64 = MAX_PAYLOAD_BYTES as u64 / 2;
/// Most characters of a server's error that are passed on.
const ERROR_CHARACTERS: usize = 300;

/// A key that a service wants to see. It is never shown.
#[derive(Clone)]
pub struct UpstreamKey(String);

impl UpstreamKey {
    /// A key from what a file or variable holds; white space around it is not part of it.
    ///
    /// # Errors
    /// [`UpstreamError::Key`] if it is empty or has characters that no header can hold.
    pub fn new(text: &str) -> Result<Self, UpstreamError> {
        let key = text.trim();
        let fits = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(key.to_owned())).ok_or(UpstreamError::Key)
    }
}

impl fmt::Debug for UpstreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UpstreamKey(..)")
    }
}

/// Why a file names no service that can be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// The file is malformed.
    #[error("not a description of a service to ask: {0}")]
    File(String),
    /// The address is none.
    #[error(
        "url: {url:?} {reason}: give the address that /chat/completions is appended to, as https://api.openai.com/v1"
    )]
    Url {
        /// What the file says.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A key would be sent where others can read it.
    #[error(
        "there is a key for {0}, and it would travel unencrypted: use https, or leave the key out"
    )]
    Unencrypted(String),
    /// Not a key.
    #[error("a key must be one line of visible ASCII characters")]
    Key,
}

/// One server.
pub(super) struct Upstream {
    agent: Agent,
    url: String,
    host: String,
    key: Option<UpstreamKey>,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upstream({})", self.url)
    }
}

impl Upstream {
    pub(super) fn new(url: &str, keys: &UpstreamKeys) -> Result<Self, UpstreamError> {
        let wrong = |reason| UpstreamError::Url {
            url: url.to_owned(),
            reason,
        };
        let uri: Uri = url.parse().map_err(|_| wrong("is no address"))?;
        let authority = uri.authority().ok_or_else(|| wrong("names no host"))?;
        let encrypted = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("is neither http nor https")),
        };
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(wrong("has a password or a query"));
        }
        let host = authority.as_str().to_owned();
        let key = keys.get(&host).cloned();
        let here = ["localhost", "127.0.0.1", "[::1]"].contains(&authority.host());
        if key.is_some() && !encrypted && !here {
            return Err(UpstreamError::Unencrypted(host));
        }
        Ok(Self {
            agent: agent(encrypted),
            url: url.trim_end_matches('/').to_owned(),
            host,
            key,
        })
    }

    /// Who is asked, for records and errors.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Posts a JSON document and reads another.
    pub(super) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<T, RunError> {
        let failed = |what: String| RunError::Model(format!("{} {what}", self.host));
        let mut request = self.agent.post(format!("{}/{path}", self.url));
        if let Some(UpstreamKey(key)) = &self.key {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        let body = serde_json::to_vec(body).map_err(|error| failed(error.to_string()))?;
        let mut response = request
            .content_type("application/json")
            .send(&body[..])
            .map_err(|error| failed(format!("cannot be asked: {error}")))?;
        let bounded = response.body_mut().with_config();
        let bytes = bounded.limit(MAX_ANSWER_BYTES).read_to_vec();
        let bytes = bytes.map_err(|error| failed(format!("broke its answer off: {error}")))?;
        match response.status() {
            StatusCode::OK => serde_json::from_slice(&bytes)
                .map_err(|_| failed("gave an answer that is not OpenAI's".to_owned())),
            status => Err(self.refused(status, &bytes)),
        }
    }

    /// A status other than success: whose fault it is.
    fn refused(&self, status: StatusCode, bytes: &[u8]) -> RunError {
        let said = error_text(bytes);
        let host = &self.host;
        match status {
            StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => {
                RunError::Refused(format!("{host} refuses the question: {said}"))
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                RunError::Busy(format!("{host} is busy: {said}"))
            }
            // What it says here can contain parts of the key.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                RunError::Model(format!("{host} does not accept the node's key ({status})"))
            }
            _ => RunError::Model(format!("{host} answered {status}: {said}")),
        }
    }
}

/// What a server says went wrong, in a few words.
fn error_text(bytes: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Failure {
        error: Message,
    }
    #[derive(Deserialize)]
    struct Message {
        message: String,
    }
    let text = match serde_json::from_slice::<Failure>(bytes) {
        Ok(failure) => failure.error.message,
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    };
    let visible = text.chars().filter(|character| !character.is_control());
    visible.take(ERROR_CHARACTERS).collect()
}

/// Follows no redirects, and goes through a proxy only encrypted: the key is for one host.
fn agent(encrypted: bool) -> Agent {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .build();
    let proxy = encrypted.then(Proxy::try_from_env).flatten();
    let config = Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_global(Some(ANSWER_TIMEOUT))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("og/", env!("CARGO_PKG_VERSION")))
        .build();
    config.into()
}

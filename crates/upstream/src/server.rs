//! One server: where it is, what it is asked with, how much it has to do.

use crate::{
    AskError, Limits, UpstreamAccess, UpstreamError, UpstreamKey,
    answer::{Reader, Reading},
    client::Clients,
    error::{Failure, Fault},
    file::Described,
    health::Health,
    traced::{answered, traced},
};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT},
};
use hyper_util::client::legacy::{self, ResponseFuture};
use og_dialects::{
    Fault as Whose,
    openai::embeddings::Embedded,
    upstream::{Answered, Service, refused},
};
use og_http::Lane;
use og_types::Refusal;
use std::{
    error::Error as _,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{sleep, timeout, timeout_at},
};
use tracing::{info, warn};

/// Most characters of why a connection cannot be made.
const MAX_REASON: usize = 200;

/// A server that has the model.
#[derive(Debug)]
pub(crate) struct Server {
    service: Service,
    url: String,
    host: String,
    key: Option<UpstreamKey>,
    headers: HeaderMap,
    clients: Clients,
    max_requests: usize,
    /// A permit for each request that it may have at once.
    places: Semaphore,
    health: Health,
    limits: Limits,
}

/// A question as it is sent.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) path: String,
    pub(crate) body: Bytes,
}

impl Server {
    /// The server at an address of the file.
    pub(crate) fn new(
        url: &str,
        file: &Described,
        access: &UpstreamAccess,
        limits: Limits,
    ) -> Result<Self, UpstreamError> {
        let address = Address::read(url)?;
        let key = access.keys.get(&address.host).cloned();
        if key.is_some() && !address.is_safe() {
            return Err(UpstreamError::Unencrypted(address.host));
        }
        let mut headers = HeaderMap::new();
        let agent = concat!("og/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        for (name, value) in file.service.headers() {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        if let Some(key) = &key {
            let (name, before) = file.service.key_header();
            headers.insert(HeaderName::from_static(name), key.header(before)?);
        }
        Ok(Self {
            service: file.service,
            url: url.trim_end_matches('/').to_owned(),
            clients: Clients::new(
                &address.uri,
                file.max_requests,
                &access.authorities,
                &limits,
            )?,
            host: address.host,
            key,
            headers,
            max_requests: file.max_requests,
            places: Semaphore::new(file.max_requests),
            health: Health::new(&limits),
            limits,
        })
    }

    /// Who is asked, for records and errors.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Requests that it has at present.
    pub(crate) fn running(&self) -> usize {
        self.max_requests
            .saturating_sub(self.places.available_permits())
    }

    /// A place for one more request; `None` if there is none.
    pub(crate) fn place(&self) -> Option<SemaphorePermit<'_>> {
        self.places.try_acquire().ok()
    }

    /// How it did lately.
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// Asks it a question. Whoever calls holds a [place](Self::place).
    pub(crate) async fn ask(
        &self,
        query: &Query,
        reader: &mut Reader<'_>,
    ) -> Result<Answered, Failure> {
        let asked = async {
            let lane = self.clients.lane();
            let response = self.begin(query, reader, &lane).await?;
            match reader.pieces {
                Some(_) => self.reading().stream(response, reader).await,
                None => self.reading().whole(response, reader).await,
            }
        };
        let asked = traced(&self.url, &query.path, asked).await;
        asked.map_err(|failure| self.without_key(failure))
    }

    /// Asks it for vectors of so many texts. Whoever calls holds a [place](Self::place).
    pub(crate) async fn embed(
        &self,
        query: &Query,
        texts: usize,
        reader: &Reader<'_>,
    ) -> Result<Embedded, Failure> {
        let asked = async {
            let lane = self.clients.lane();
            let response = self.begin(query, reader, &lane).await?;
            self.reading().vectors(response, reader, texts).await
        };
        let asked = traced(&self.url, &query.path, asked).await;
        asked.map_err(|failure| self.without_key(failure))
    }

    /// Sends a query; the answer has begun, and is none of those that refuse.
    async fn begin(
        &self,
        query: &Query,
        reader: &Reader<'_>,
        lane: &Lane<'_>,
    ) -> Result<Response<Incoming>, Failure> {
        let reading = self.reading();
        let until = match reader.pieces {
            Some(_) => reader.within(self.limits.first_byte),
            None => reader.deadline,
        };
        let sent = self.send(Method::POST, &query.path, query.body.clone(), lane);
        let sent = sent.ok_or_else(|| reading.failed("cannot be asked at its address"))?;
        let sent = timeout_at(until, sent).await;
        if let Ok(Ok(response)) = &sent {
            answered(response.status());
        }
        match sent {
            Err(_) => Err(reading.failed("did not begin its answer in time")),
            Ok(Err(error)) => Err(self.unreachable(&error)),
            Ok(Ok(response)) if response.status() == StatusCode::OK => Ok(response),
            Ok(Ok(response)) => Err(self.refused(response, reader).await),
        }
    }

    /// Notes that it gave no answer, and leaves it alone if that has happened too often.
    pub(crate) fn failed(self: &Arc<Self>, fault: Fault) {
        let what = fault.what.clone();
        if let Some(pause) = self.health.failed(fault) {
            warn!(
                host = self.host,
                what,
                ?pause,
                "a service that models are relayed to is left alone"
            );
            tokio::spawn(watch(Arc::downgrade(self), pause));
        }
    }

    fn reading(&self) -> Reading<'_> {
        Reading {
            service: self.service,
            host: &self.host,
            limits: &self.limits,
        }
    }

    /// Sends a request; `None` if the path makes no address.
    fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        lane: &Lane<'_>,
    ) -> Option<ResponseFuture> {
        let uri: Uri = format!("{}/{path}", self.url).parse().ok()?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        Some(self.clients.send(request, lane))
    }

    /// A status other than 200: whose fault it is.
    async fn refused(&self, response: Response<Incoming>, reader: &Reader<'_>) -> Failure {
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let body = self.reading().refusal(response, reader).await;
        let said = refused(&self.host, status.as_u16(), &body);
        let fault = |busy| Fault {
            what: format!("answered with status {}", status.as_u16()),
            busy,
            retry_after: retry_after.filter(|_| busy),
        };
        let (error, fault) = match said.fault {
            // The address or the model's name is wrong, which the question does not say.
            _ if status == StatusCode::NOT_FOUND => {
                (AskError::Failed(said.message), Some(fault(false)))
            }
            Whose::Request => {
                let refusal = match said.param {
                    Some(input) => Refusal::of(input, format!("is refused: {}", said.message)),
                    None => Refusal {
                        input: None,
                        reason: said.message,
                    },
                };
                (AskError::Refused(refusal), None)
            }
            Whose::Busy => (AskError::Busy(said.message), Some(fault(true))),
            _ => (AskError::Failed(said.message), Some(fault(false))),
        };
        Failure { error, fault }
    }

    /// No answer came at all.
    fn unreachable(&self, error: &legacy::Error) -> Failure {
        if !error.is_connect() {
            return self
                .reading()
                .failed("closed the connection before it answered");
        }
        let mut deepest = error.source();
        while let Some(deeper) = deepest.and_then(std::error::Error::source) {
            deepest = Some(deeper);
        }
        let reason = deepest.map(ToString::to_string).unwrap_or_default();
        let reason: String = reason.chars().take(MAX_REASON).collect();
        self.reading()
            .failed(&format!("cannot be reached: {reason}"))
    }

    fn without_key(&self, mut failure: Failure) -> Failure {
        if let Some(key) = &self.key {
            let (AskError::Refused(Refusal { reason: text, .. })
            | AskError::Busy(text)
            | AskError::Failed(text)) = &mut failure.error;
            *text = key.hidden_in(text);
        }
        failure
    }

    /// Whether it answers at all: its list of models is asked for, which costs nothing. A server that has no such list and
    /// says so is well too.
    async fn is_there(&self) -> bool {
        let lane = self.clients.lane();
        let Some(asked) = self.send(Method::GET, "models", Bytes::new(), &lane) else {
            return false;
        };
        let status = match timeout(self.limits.connect, asked).await {
            Ok(Ok(response)) => response.status(),
            _ => return false,
        };
        status.is_success()
            || [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&status)
    }
}

/// Tries a server after each pause until it answers. Ends when nobody uses the server any more.
async fn watch(server: Weak<Server>, mut pause: Duration) {
    loop {
        sleep(pause).await;
        let Some(server) = server.upgrade() else {
            return;
        };
        let is_there = server.is_there().await;
        match server.health.tried(is_there) {
            Some(longer) => pause = longer,
            None => {
                info!(
                    host = server.host,
                    "a service that models are relayed to is asked again"
                );
                return;
            }
        }
    }
}

/// What is read of a server's address.
struct Address {
    uri: Uri,
    /// As the file spells it, with the port if one was given: keys are found by it.
    host: String,
}

impl Address {
    fn read(url: &str) -> Result<Self, UpstreamError> {
        let wrong = |reason| UpstreamError::Url {
            url: url.to_owned(),
            reason,
        };
        let uri: Uri = url.parse().map_err(|_| wrong("is no address"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong("is neither http nor https"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("names no host"))?;
        if authority.as_str().contains('@') || url.contains(['?', '#']) {
            return Err(wrong("has a password, a query or a fragment"));
        }
        let host = authority.as_str().to_owned();
        Ok(Self { uri, host })
    }

    /// Whether nobody else reads what is sent there: it is encrypted, or stays on this machine.
    fn is_safe(&self) -> bool {
        let here = ["localhost", "127.0.0.1", "[::1]"];
        self.uri.scheme_str() == Some("https")
            || self.uri.host().is_some_and(|host| here.contains(&host))
    }
}

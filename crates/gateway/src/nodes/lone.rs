//! Connections of HTTP/1.1 to one node, each for one request at a time and driven by whoever asks.
//!
//! A client that gives each connection a task of its own wakes that task, and is woken by it, for every step of a request. Here
//! nothing is woken but the task that asks.

mod drive;

use crate::{
    config::CONNECT_TIMEOUT,
    error::error_chain,
    http::{FetchError, IDLE, read_bounded},
};
use axum::body::Bytes;
use drive::Nudge;
use http_body_util::Full;
use hyper::{
    Request, StatusCode, Uri,
    client::conn::http1::{self, SendRequest},
    header::{HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

/// What moves the bytes of a connection while it is awaited; ends when the connection does.
type Driver = Pin<Box<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>>;

/// A node's connections.
pub(super) struct Lone {
    host: String,
    port: u16,
    host_header: HeaderValue,
    /// Those without a request, the one that was used last at the end.
    idle: Mutex<Vec<(Connection, Instant)>>,
}

/// A connection that no request is on.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
    nudge: Arc<Nudge>,
}

/// Why a connection gave no answer.
enum ExchangeError {
    /// It was closed before the request, which is given back, was on its way.
    Unsent(Box<Request<Full<Bytes>>>),
    Failed(FetchError),
}

impl Lone {
    /// Connections to the node at this address, which names a host. None is made yet.
    pub(super) fn new(address: &Uri) -> Self {
        let host = address.host().unwrap_or_default();
        let authority = address
            .authority()
            .map_or("", |authority| authority.as_str());
        Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: address.port_u16().unwrap_or(80),
            host_header: HeaderValue::from_str(authority)
                .unwrap_or_else(|_| HeaderValue::from_static("")),
            idle: Mutex::default(),
        }
    }

    /// Sends a request and reads the whole answer, of at most `maximum` bytes. Dropping the future closes the connection, by which the
    /// node sees that nobody waits any more.
    ///
    /// # Errors
    /// [`FetchError`] if there is no connection, or no whole answer.
    pub(super) async fn ask(
        &self,
        mut request: Request<Full<Bytes>>,
        maximum: usize,
    ) -> Result<(StatusCode, Bytes), FetchError> {
        if let Some(path) = request.uri().path_and_query() {
            *request.uri_mut() = Uri::from(path.clone());
        }
        request.headers_mut().insert(HOST, self.host_header.clone());
        while let Some(mut connection) = self.take() {
            match connection.exchange(request, maximum).await {
                Ok(answer) => {
                    self.keep(connection);
                    return Ok(answer);
                }
                // The node closed it meanwhile: the next may be open.
                Err(ExchangeError::Unsent(unsent)) => request = *unsent,
                Err(ExchangeError::Failed(error)) => return Err(error),
            }
        }
        let mut connection = self.connect().await?;
        let answer = connection.exchange(request, maximum).await;
        match answer {
            Ok(answer) => {
                self.keep(connection);
                Ok(answer)
            }
            Err(ExchangeError::Unsent(_)) => {
                let reason = "the connection was closed before the request was sent";
                Err(FetchError::Transport(reason.to_owned()))
            }
            Err(ExchangeError::Failed(error)) => Err(error),
        }
    }

    fn take(&self) -> Option<Connection> {
        let (connection, since) = self.idle.lock().pop()?;
        // All others have waited longer still.
        (since.elapsed() < IDLE).then_some(connection)
    }

    /// Keeps a connection for the next request, and closes those that had none for long.
    fn keep(&self, connection: Connection) {
        let now = Instant::now();
        let mut idle = self.idle.lock();
        let old = idle.partition_point(|(_, since)| now.duration_since(*since) >= IDLE);
        idle.drain(..old);
        idle.push((connection, now));
    }

    async fn connect(&self) -> Result<Connection, FetchError> {
        let failed = |error: &dyn std::error::Error| FetchError::Transport(error_chain(error));
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        let late = |_| {
            let seconds = CONNECT_TIMEOUT.as_secs();
            FetchError::Transport(format!("no connection within {seconds} s"))
        };
        let connected = timeout(CONNECT_TIMEOUT, connecting).await.map_err(late)?;
        let stream = connected.map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Connection {
            sender,
            driver: Box::pin(driver),
            nudge: Arc::default(),
        })
    }
}

impl Connection {
    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        maximum: usize,
    ) -> Result<(StatusCode, Bytes), ExchangeError> {
        let Self {
            sender,
            driver,
            nudge,
        } = self;
        // What came since the last answer, its end perhaps.
        let has_ended =
            poll_fn(|context| Poll::Ready(driver.as_mut().poll(context).is_ready())).await;
        if has_ended {
            return Err(ExchangeError::Unsent(Box::new(request)));
        }
        let exchange = pin!(async {
            let sent = sender.try_send_request(request).await;
            let response = sent.map_err(|mut error| match error.take_message() {
                Some(request) => ExchangeError::Unsent(Box::new(request)),
                None => ExchangeError::Failed(error.into_error().into()),
            })?;
            let status = response.status();
            let body = read_bounded(response, maximum).await;
            body.map(|body| (status, body))
                .map_err(ExchangeError::Failed)
        });
        nudge.drive(exchange, driver.as_mut()).await
    }
}

#[cfg(test)]
mod tests;

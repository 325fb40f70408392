//! JSON-RPC on WebSockets: calls, and what subscriptions tell, on one connection.
//!
//! All of a connection happens in one task, so a client that does not read stops being told, and
//! soon being heard: nothing piles up for it. Subscriptions read each block when it can be sent.

use super::{
    MAX_REQUEST_BYTES, Server,
    access::Client,
    sending::{Room, UNREAD},
};
use crate::{
    metrics::Open,
    subscriptions::{CutOff, Notices, Session, Subscriber},
};
use axum::{
    Extension,
    body::{Body, Bytes},
    extract::{
        Request, State,
        ws::{
            CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code,
            rejection::WebSocketUpgradeRejection,
        },
    },
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{CONTENT_TYPE, UPGRADE},
    },
    response::{IntoResponse as _, Response},
};
use futures::{
    StreamExt as _,
    future::BoxFuture,
    stream::{FuturesUnordered, SelectAll},
};
use og_http::Connection;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite;

/// Calls of one connection that are answered at a time; more are read when one is done.
const MAX_CALLS: usize = 8;
/// Bytes of calls that are being answered from which on no more are read.
const MANY_CALL_BYTES: usize = 256 * 1024;
/// Bytes that are read from a connection at a time.
const READ_BYTES: usize = 16 * 1024;
/// How often a client is asked whether it is there, as Ethereum's nodes do.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long a client may be silent, pongs included.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(75);
/// Longest time that a client may take to read one message.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time that the last message may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// What a GET is answered that asks for no WebSocket: health checks of load balancers want a 200.
const HINT: &str = "This is JSON-RPC: send a POST of application/json, or open a WebSocket.\n";
/// What a client is told when no more WebSockets are taken.
const TOO_MANY: &str = "too many WebSockets are open: close some, or use HTTP\n";

/// Opens a WebSocket.
pub(super) async fn upgrade(
    State(server): State<Server>,
    Extension(client): Extension<Client>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if !headers.contains_key(UPGRADE) {
        return (StatusCode::OK, HINT).into_response();
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let Some(place) = server.websockets.try_take(client.0, 1) else {
        return (StatusCode::TOO_MANY_REQUESTS, TOO_MANY).into_response();
    };
    let most_bytes = usize::try_from(MAX_REQUEST_BYTES).unwrap_or(usize::MAX);
    upgrade
        .max_message_size(most_bytes)
        .max_frame_size(most_bytes)
        .read_buffer_size(READ_BYTES)
        .on_upgrade(async move |socket| {
            let _open = Open::count(&server.open_websockets);
            converse(socket, connection, Conversation::new(server, client)).await;
            drop(place);
        })
}

/// Why a connection ends: what the client is told, if it can still be told anything.
type End = Option<CloseFrame>;

fn end(code: u16, reason: &'static str) -> End {
    Some(CloseFrame {
        code,
        reason: Utf8Bytes::from_static(reason),
    })
}

async fn converse(mut socket: WebSocket, mut connection: Connection, mut talk: Conversation) {
    let end = tokio::select! {
        end = talk.run(&mut socket) => end,
        () = connection.closing() => end(close_code::AWAY, "the node is shutting down"),
    };
    // Whatever was being answered is dropped first, so that a client that is slow to the last
    // holds only its connection.
    drop(talk);
    if let Some(frame) = end {
        let _ = timeout(CLOSE_TIMEOUT, socket.send(Message::Close(Some(frame)))).await;
    }
}

/// A call's answer, and what begins once it is sent.
struct Answered {
    text: Utf8Bytes,
    room: Option<Room>,
    started: Vec<Notices>,
    call_bytes: usize,
}

/// What is going on on a connection.
struct Conversation {
    server: Server,
    client: Client,
    session: Arc<Session>,
    calls: FuturesUnordered<BoxFuture<'static, Answered>>,
    /// Bytes of the calls.
    call_bytes: usize,
    subscriptions: SelectAll<Notices>,
    pings: Interval,
    heard: Instant,
}

/// What happens next on a connection.
enum Event {
    Received(Option<Result<Message, axum::Error>>),
    Answered(Answered),
    Notice(Result<String, CutOff>),
    Ping,
}

impl Conversation {
    fn new(server: Server, client: Client) -> Self {
        let mut pings = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
        // Those for which there was no time would tell nothing.
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            session: Arc::new(Session::new(client)),
            server,
            client,
            calls: FuturesUnordered::new(),
            call_bytes: 0,
            subscriptions: SelectAll::new(),
            pings,
            heard: Instant::now(),
        }
    }

    /// Goes on until there is a reason to end.
    async fn run(&mut self, socket: &mut WebSocket) -> End {
        loop {
            let event = self.next(socket).await;
            if let Err(end) = self.handle(event, socket).await {
                return end;
            }
        }
    }

    async fn next(&mut self, socket: &mut WebSocket) -> Event {
        let reads = self.calls.len() < MAX_CALLS && self.call_bytes < MANY_CALL_BYTES;
        tokio::select! {
            message = socket.recv(), if reads => Event::Received(message),
            Some(answered) = self.calls.next() => Event::Answered(answered),
            Some(notice) = self.subscriptions.next() => Event::Notice(notice),
            _ = self.pings.tick() => Event::Ping,
        }
    }

    async fn handle(&mut self, event: Event, socket: &mut WebSocket) -> Result<(), End> {
        match event {
            Event::Received(message) => self.receive(message),
            Event::Answered(answered) => self.answer(answered, socket).await,
            Event::Notice(Ok(text)) => send(socket, Message::Text(text.into())).await,
            Event::Notice(Err(CutOff(reason))) => Err(end(close_code::POLICY, reason)),
            // A client that is being answered has reason to be silent.
            Event::Ping if self.calls.is_empty() && self.heard.elapsed() > SILENCE_TIMEOUT => {
                Err(end(close_code::POLICY, "no pong has come"))
            }
            Event::Ping => send(socket, Message::Ping(Bytes::new())).await,
        }
    }

    fn receive(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        self.heard = Instant::now();
        let call = match message {
            None => return Err(None),
            Some(Err(error)) => return Err(fault(error)),
            Some(Ok(Message::Text(text))) => Bytes::from(text),
            // Ethereum's nodes do not tell the two apart.
            Some(Ok(Message::Binary(bytes))) => bytes,
            // The library answers pings, and ends the stream after a close.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_))) => return Ok(()),
        };
        self.call_bytes += call.len();
        let subscriber = Subscriber::new(&self.session);
        self.calls.push(Box::pin(answer(
            self.server.clone(),
            self.client,
            subscriber,
            call,
        )));
        Ok(())
    }

    async fn answer(&mut self, answered: Answered, socket: &mut WebSocket) -> Result<(), End> {
        self.call_bytes -= answered.call_bytes;
        let Some(_room) = answered.room else {
            return Err(end(close_code::AGAIN, UNREAD));
        };
        // A notification has no answer.
        if !answered.text.is_empty() {
            send(socket, Message::Text(answered.text)).await?;
        }
        // Only now does the client know the subscriptions' names.
        self.subscriptions.extend(answered.started);
        Ok(())
    }
}

/// Answers a message as if it were the body of a POST.
async fn answer(server: Server, client: Client, subscriber: Subscriber, call: Bytes) -> Answered {
    let call_bytes = call.len();
    let mut request = Request::new(Body::from(call));
    *request.method_mut() = Method::POST;
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(CONTENT_TYPE, json);
    request.extensions_mut().insert(client);
    request.extensions_mut().insert(subscriber.clone());
    let response = server.answer(request).await;
    // JSON is text.
    let text = Utf8Bytes::try_from(response.into_body()).unwrap_or_default();
    Answered {
        room: server.sending.room(client, text.len()),
        text,
        started: subscriber.started(),
        call_bytes,
    }
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), End> {
    match timeout(SEND_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        // Gone, or so slow that nothing more will reach it.
        Ok(Err(_)) | Err(_) => Err(None),
    }
}

/// What a client is told whose messages cannot be read.
fn fault(error: axum::Error) -> End {
    use tungstenite::Error;
    match error.into_inner().downcast_ref() {
        Some(Error::Capacity(_)) => end(close_code::SIZE, "a message is too long"),
        Some(Error::Utf8(_)) => end(close_code::INVALID, "a text is not UTF-8"),
        Some(Error::Protocol(_)) => end(close_code::PROTOCOL, "this is not a WebSocket's protocol"),
        _ => None,
    }
}

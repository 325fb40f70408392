//! A client that speaks JSON-RPC on a WebSocket.

use crate::memory::Client;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value as Json, json};
use std::{collections::VecDeque, time::Duration};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest as _,
        http::{HeaderValue, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

/// Longest wait for what should come at once.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Socket {
    pub(crate) stream: WebSocketStream<TcpStream>,
    /// What was told while an answer was waited for.
    told: VecDeque<Json>,
    calls: u64,
}

impl Socket {
    pub(crate) async fn connect(client: &Client) -> Self {
        Self::connect_from("127.0.0.1", client, None).await.unwrap()
    }

    /// Connects from an address of this host, as a browser would on a page of `origin`.
    pub(crate) async fn connect_from(
        from: &str,
        client: &Client,
        origin: Option<&str>,
    ) -> Result<Self, Box<Response<Option<Vec<u8>>>>> {
        let url = client.url.replacen("http", "ws", 1);
        let mut request = url.as_str().into_client_request().unwrap();
        if let Some(origin) = origin {
            let origin = HeaderValue::from_str(origin).unwrap();
            request.headers_mut().insert("origin", origin);
        }
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        let address = client.url.trim_start_matches("http://").parse().unwrap();
        let stream = socket.connect(address).await.unwrap();
        match client_async(request, stream).await {
            Ok((stream, _)) => Ok(Self {
                stream,
                told: VecDeque::new(),
                calls: 0,
            }),
            Err(Error::Http(response)) => Err(response),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.stream.send(Message::text(text.into())).await.unwrap();
    }

    /// The next text, or why there is none.
    async fn receive(&mut self) -> Result<Json, Option<CloseFrame>> {
        loop {
            let message = timeout(PATIENCE, self.stream.next()).await;
            match message.expect("nothing came") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => return Err(frame),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// Sends a call; its answer is that with the number returned.
    pub(crate) async fn ask(&mut self, method: &str, parameters: Json) -> u64 {
        self.calls += 1;
        let call =
            json!({"jsonrpc": "2.0", "id": self.calls, "method": method, "params": parameters});
        self.send(call.to_string()).await;
        self.calls
    }

    /// The next message that is an answer.
    pub(crate) async fn answer(&mut self) -> Json {
        loop {
            let message = self.receive().await.unwrap();
            if message["method"] == "eth_subscription" {
                self.told.push_back(message);
            } else {
                return message;
            }
        }
    }

    async fn call(&mut self, method: &str, parameters: Json) -> Json {
        let id = self.ask(method, parameters).await;
        let answer = self.answer().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// The result of a call that succeeds.
    pub(crate) async fn ok(&mut self, method: &str, parameters: Json) -> Json {
        let answer = self.call(method, parameters).await;
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The code and message of a call that fails.
    pub(crate) async fn error(&mut self, method: &str, parameters: Json) -> (i64, String) {
        let answer = self.call(method, parameters).await;
        let error = &answer["error"];
        assert!(error.is_object(), "{method}: {answer}");
        let message = error["message"].as_str().unwrap().to_owned();
        (error["code"].as_i64().unwrap(), message)
    }

    /// The next thing that a subscription tells: its name, and what is new.
    pub(crate) async fn told(&mut self) -> (Json, Json) {
        let message = match self.told.pop_front() {
            Some(message) => message,
            None => self.receive().await.unwrap(),
        };
        assert_eq!(message["jsonrpc"], "2.0", "{message}");
        assert_eq!(message["method"], "eth_subscription", "{message}");
        assert!(message["id"].is_null(), "{message}");
        let parameters = &message["params"];
        (
            parameters["subscription"].clone(),
            parameters["result"].clone(),
        )
    }

    /// Fails if anything more is told.
    pub(crate) async fn is_told_nothing(&mut self) {
        // An answer comes after what was told before it was asked.
        self.ok("eth_chainId", json!([])).await;
        assert!(self.told.is_empty(), "{:?}", self.told);
    }

    /// Why the server closes the connection, whatever comes before.
    pub(crate) async fn closed(&mut self) -> Option<(CloseCode, String)> {
        loop {
            if let Err(frame) = self.receive().await {
                return frame.map(|frame| (frame.code, frame.reason.to_string()));
            }
        }
    }
}

//! A server that does what a test tells it to: answers, pauses, breaks off.

use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{
        AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
        BufReader,
    },
    net::TcpListener,
    task::JoinHandle,
    time::sleep,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// What a server got.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method and path.
    pub(crate) line: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

/// What a server does next.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Send(Vec<u8>),
    Wait(Duration),
    /// Waits until the client has gone.
    WaitForLeave,
    /// Ends the connection; it is kept for the next request otherwise.
    Close,
}

/// A server that runs until it is dropped.
pub(crate) struct Player {
    pub(crate) host: String,
    pub(crate) seen: Arc<Seen>,
    serving: JoinHandle<()>,
}

/// What a server has seen.
#[derive(Default)]
pub(crate) struct Seen {
    asked: Mutex<Vec<Asked>>,
    pub(crate) connections: AtomicUsize,
    /// Clients that were gone before their answer was.
    pub(crate) left: AtomicUsize,
}

impl Seen {
    /// Questions, those whether the server is there left out.
    pub(crate) fn questions(&self) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        let questions = asked.iter().filter(|asked| asked.line.starts_with("POST"));
        questions.cloned().collect()
    }
}

impl Player {
    /// A server that does for each request what `script` says.
    pub(crate) async fn new(script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", script).await
    }

    /// The same over TLS.
    pub(crate) async fn secure(
        tls: ServerConfig,
        script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::listening(listener, Some(TlsAcceptor::from(Arc::new(tls))), script)
    }

    /// The same at a certain address.
    pub(crate) async fn at(
        address: &str,
        script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        Self::listening(listener, None, script)
    }

    fn listening(
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        script: impl Fn(&Asked) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        let host = listener.local_addr().unwrap().to_string();
        let (seen, script) = (Arc::new(Seen::default()), Arc::new(script));
        let to_note = seen.clone();
        let serving = tokio::spawn(async move {
            // Dropped with this task, so that connections end with the server.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                to_note.connections.fetch_add(1, Ordering::Relaxed);
                let (seen, script, tls) = (to_note.clone(), script.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve_all(stream, &seen, &*script).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve_all(stream, &seen, &*script).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            host,
            seen,
            serving,
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Serves a connection to its end.
async fn serve_all(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: &Seen,
    script: &(dyn Fn(&Asked) -> Vec<Act> + Send + Sync),
) {
    let mut stream = BufReader::new(stream);
    while serve(&mut stream, seen, script).await.is_some() {}
}

/// Reads a request and does what it calls for; `None` if the connection is over.
async fn serve(
    stream: &mut BufReader<impl AsyncRead + AsyncWrite + Unpin>,
    seen: &Seen,
    script: &(dyn Fn(&Asked) -> Vec<Act> + Send + Sync),
) -> Option<()> {
    let asked = read(stream).await?;
    seen.asked.lock().unwrap().push(asked.clone());
    for act in script(&asked) {
        match act {
            Act::Send(bytes) => stream.write_all(&bytes).await.ok()?,
            Act::Wait(pause) => sleep(pause).await,
            Act::WaitForLeave => {
                if stream.read_u8().await.is_err() {
                    seen.left.fetch_add(1, Ordering::Relaxed);
                }
                return None;
            }
            Act::Close => return None,
        }
    }
    Some(())
}

async fn read(stream: &mut BufReader<impl AsyncRead + Unpin>) -> Option<Asked> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let line = line.strip_suffix(" HTTP/1.1\r\n")?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        let Some((name, value)) = header.trim().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length");
    let length = length.map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Asked {
        line,
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}

/// An answer at once; `more` are headers, each with its line end.
pub(crate) fn answer(status: &str, more: &str, body: impl AsRef<[u8]>) -> Vec<Act> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n{more}\r\n",
        body.len()
    );
    vec![Act::Send([head.as_bytes(), body].concat())]
}

/// The beginning of an answer in chunks.
pub(crate) fn begin() -> Act {
    let head =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    Act::Send(head.as_bytes().to_vec())
}

/// A chunk; an empty one ends the answer.
pub(crate) fn chunk(bytes: impl AsRef<[u8]>) -> Act {
    let bytes = bytes.as_ref();
    let length = format!("{:x}\r\n", bytes.len());
    Act::Send([length.as_bytes(), bytes, b"\r\n"].concat())
}

/// An answer in chunks of `size` bytes.
pub(crate) fn chunks(bytes: impl AsRef<[u8]>, size: usize) -> Vec<Act> {
    let parts = bytes.as_ref().chunks(size).map(chunk);
    [begin()]
        .into_iter()
        .chain(parts)
        .chain([chunk("")])
        .collect()
}

/// An answer in OpenAI's form that says `text`.
pub(crate) fn says(text: &str) -> Vec<Act> {
    let body = format!(
        r#"{{"model":"m-2","choices":[{{"message":{{"content":{text:?}}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":3,"completion_tokens":1}}}}"#
    );
    answer("200 OK", "", body)
}

/// A frame of OpenAI's stream that says `text`.
pub(crate) fn frame(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text:?}}}}}]}}\n\n")
}

/// The frames that end such a stream.
pub(crate) const LAST: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

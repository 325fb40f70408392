//! A service that speaks HTTP/2: its answers come whole and in pieces, and one that breaks off is told as over HTTP/1.1.

use crate::{
    player::{Act, LAST, Player, begin, chunk, frame},
    streamed,
    tls::{Authority, authority, certified, model},
    whole,
};
use bytes::Bytes;
use futures::stream;
use http_body_util::StreamBody;
use hyper::{
    Method, Request, Response, Version,
    body::{Frame, Incoming},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use og_types::language::Piece;
use og_upstream::AskError;
use std::{
    convert::Infallible,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{JoinHandle, JoinSet},
    time::sleep,
};
use tokio_rustls::TlsAcceptor;

/// What a service does next in its answer, which ends after the last step.
#[derive(Clone, Debug)]
enum Step {
    Say(String),
    /// Takes the answer back, and keeps the connection.
    Reset,
    /// Loses the connection.
    Lose,
}

/// A service that speaks nothing but HTTP/2 over TLS, until it is dropped.
struct Service {
    host: String,
    seen: Arc<Seen>,
    serving: JoinHandle<()>,
}

/// What a service has seen.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    questions: Mutex<Vec<Version>>,
}

impl Service {
    async fn new(authority: &Authority, steps: Vec<Step>) -> Self {
        let mut tls = certified(authority, "localhost");
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let tls = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Seen::default());
        let to_note = seen.clone();
        let serving = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                to_note.connections.fetch_add(1, Ordering::Relaxed);
                connections.spawn(converse(
                    stream,
                    tls.clone(),
                    steps.clone(),
                    to_note.clone(),
                ));
            }
        });
        Self {
            host,
            seen,
            serving,
        }
    }

    fn questions(&self) -> Vec<Version> {
        self.seen.questions.lock().unwrap().clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn converse(stream: TcpStream, tls: TlsAcceptor, steps: Vec<Step>, seen: Arc<Seen>) {
    let stream = tls.accept(stream).await.unwrap();
    let lost = Arc::new(Notify::new());
    let to_lose = lost.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        if request.method() == Method::POST {
            seen.questions.lock().unwrap().push(request.version());
        }
        let body = body(steps.clone(), to_lose.clone());
        async { Ok::<_, Infallible>(Response::new(body)) }
    });
    let conversation =
        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = conversation => {}
        () = lost.notified() => {}
    }
}

type Body = StreamBody<stream::BoxStream<'static, io::Result<Frame<Bytes>>>>;

fn body(steps: Vec<Step>, lost: Arc<Notify>) -> Body {
    let steps = stream::unfold((steps.into_iter(), lost), async |(mut steps, lost)| {
        let frame = match steps.next()? {
            Step::Say(text) => Ok(Frame::data(text.into())),
            Step::Reset => {
                // What was said before is on its way; a reset would overtake it.
                sleep(Duration::from_millis(100)).await;
                Err(io::Error::other("taken back"))
            }
            Step::Lose => {
                sleep(Duration::from_millis(100)).await;
                lost.notify_one();
                std::future::pending().await
            }
        };
        Some((frame, (steps, lost)))
    });
    StreamBody::new(Box::pin(steps))
}

#[tokio::test]
async fn answers_come_whole_and_in_pieces_over_one_connection() {
    let ours = authority();
    let body = r#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}"#;
    let service = Service::new(&ours, vec![Step::Say(body.to_owned())]).await;
    let upstream = model(&service.host, &[&ours]);
    for _ in 0..2 {
        assert_eq!(whole(&upstream).await.unwrap().said.text, "Hi");
    }
    assert_eq!(service.questions(), [Version::HTTP_2; 2]);
    assert_eq!(service.seen.connections.load(Ordering::Relaxed), 1);

    let steps = [frame("a"), frame("b"), LAST.to_owned()].map(Step::Say);
    let service = Service::new(&ours, steps.into()).await;
    let (pieces, reply) = streamed(&model(&service.host, &[&ours])).await;
    assert_eq!(pieces, ["a", "b"].map(|text| Piece::Text(text.to_owned())));
    assert_eq!(reply.unwrap().said.text, "ab");
    assert_eq!(service.questions(), [Version::HTTP_2]);
}

/// What a client is told of a service that broke its answer off, without the service's address.
fn told(error: &AskError) -> String {
    let AskError::Failed(text) = error else {
        panic!("{error}");
    };
    text.split_once(' ').unwrap().1.to_owned()
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_told_as_over_http_1() {
    let ours = authority();
    let said = [Piece::Text("a".to_owned())];
    let older = certified(&ours, "localhost");
    let acts = vec![begin(), chunk(frame("a")), Act::Close];
    let older = Player::secure(older, move |_| acts.clone()).await;
    let (pieces, reply) = streamed(&model(&older.host, &[&ours])).await;
    let expected = told(&reply.unwrap_err());
    assert_eq!(pieces, said);
    assert_eq!(expected, "broke its answer off");

    for end in [Step::Reset, Step::Lose] {
        let steps = vec![Step::Say(frame("a")), end.clone()];
        let service = Service::new(&ours, steps).await;
        let upstream = model(&service.host, &[&ours]);
        let (pieces, reply) = streamed(&upstream).await;
        assert_eq!(pieces, said, "{end:?}");
        assert_eq!(told(&reply.unwrap_err()), expected, "{end:?}");
        let error = whole(&upstream).await.unwrap_err();
        assert_eq!(told(&error), expected, "{end:?}");
        // Nobody is asked again who said something already.
        assert_eq!(service.questions(), [Version::HTTP_2; 2], "{end:?}");
    }
}

#[tokio::test]
async fn a_stream_that_ends_too_early_is_no_answer() {
    let ours = authority();
    let service = Service::new(&ours, vec![Step::Say(frame("a"))]).await;
    let (pieces, reply) = streamed(&model(&service.host, &[&ours])).await;
    assert_eq!(pieces, [Piece::Text("a".to_owned())]);
    assert!(matches!(reply, Err(AskError::Failed(_))), "{reply:?}");
}

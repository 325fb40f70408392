//! Connections that are used again, that their server closed, and that nobody waits for.

use super::*;
use crate::http::post;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

/// What a server does with one connection after another.
#[derive(Clone, Copy)]
enum Manner {
    /// Answers every request.
    Answers,
    /// Answers one request, and says that it closes then.
    ClosesWithTheAnswer,
    /// Answers one request, and closes.
    ClosesAfterwards,
    /// Begins an answer, and closes.
    BreaksOff,
    /// Says nothing.
    Silent,
}

/// A server, how many connections it had, and how many ended.
struct Server {
    url: Uri,
    begun: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

async fn server_of(manner: Manner) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/jobs", listener.local_addr().unwrap());
    let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (begun.clone(), ended.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            begun.fetch_add(1, Ordering::Relaxed);
            let ended = ended.clone();
            tokio::spawn(async move {
                serve(stream, manner).await;
                ended.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    Server {
        url: url.parse().unwrap(),
        begun: counted.0,
        ended: counted.1,
    }
}

async fn serve(mut stream: TcpStream, manner: Manner) {
    let mut request = [0; 4096];
    while let Ok(1..) = stream.read(&mut request).await {
        let head = String::from_utf8_lossy(&request);
        assert!(head.starts_with("POST /v1/jobs HTTP/1.1\r\n"), "{head}");
        assert!(head.contains("host: 127.0.0.1:"), "{head}");
        let (length, close) = match manner {
            Manner::Silent => continue,
            Manner::ClosesWithTheAnswer => (2, "connection: close\r\n"),
            Manner::BreaksOff => (3, ""),
            Manner::Answers | Manner::ClosesAfterwards => (2, ""),
        };
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{close}\r\nok");
        stream.write_all(answer.as_bytes()).await.unwrap();
        if !matches!(manner, Manner::Answers) {
            return;
        }
    }
}

async fn ask(lone: &Lone, server: &Server) -> Result<(StatusCode, Bytes), FetchError> {
    lone.ask(post(&server.url, "text/plain", "a question"), 100)
        .await
}

#[tokio::test]
async fn a_connection_is_used_again_and_others_are_made_for_requests_side_by_side() {
    let server = server_of(Manner::Answers).await;
    let lone = Lone::new(&server.url);
    for _ in 0..3 {
        let (status, body) = ask(&lone, &server).await.unwrap();
        assert_eq!((status, &body[..]), (StatusCode::OK, &b"ok"[..]));
    }
    assert_eq!(server.begun.load(Ordering::Relaxed), 1);
    let (first, second) = tokio::join!(ask(&lone, &server), ask(&lone, &server));
    first.and(second).unwrap();
    assert_eq!(server.begun.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn connections_that_were_closed_cost_no_request() {
    for manner in [Manner::ClosesWithTheAnswer, Manner::ClosesAfterwards] {
        let server = server_of(manner).await;
        let lone = Lone::new(&server.url);
        for request in 1..=3 {
            assert_eq!(ask(&lone, &server).await.unwrap().0, StatusCode::OK);
            assert_eq!(server.begun.load(Ordering::Relaxed), request);
            // The server's end arrives.
            while server.ended.load(Ordering::Relaxed) < request {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
    }
}

#[tokio::test]
async fn a_server_hears_when_nobody_waits_any_more() {
    let server = server_of(Manner::Silent).await;
    let lone = Lone::new(&server.url);
    let soon = std::time::Duration::from_millis(50);
    assert!(timeout(soon, ask(&lone, &server)).await.is_err());
    while server.ended.load(Ordering::Relaxed) < 1 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    assert!(lone.idle.lock().is_empty());
}

#[tokio::test]
async fn answers_that_are_too_long_or_cut_short_and_servers_that_are_not_there_are_errors() {
    let server = server_of(Manner::Answers).await;
    let lone = Lone::new(&server.url);
    let long = lone.ask(post(&server.url, "text/plain", "a question"), 1);
    assert!(matches!(long.await, Err(FetchError::TooLong(1))));
    let breaks_off = server_of(Manner::BreaksOff).await;
    let broken = ask(&Lone::new(&breaks_off.url), &breaks_off).await;
    assert!(matches!(broken, Err(FetchError::Transport(_))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody: Uri = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(listener);
    let lone = Lone::new(&nobody);
    let refused = lone.ask(post(&nobody, "text/plain", "a question"), 1).await;
    assert!(matches!(refused, Err(FetchError::Transport(_))));
}

//! Several servers: which is asked, what happens when some or all of them fail.

use crate::{
    limits,
    player::{Act, LAST, Player, answer, begin, chunk, chunks, frame, says},
    question, streamed, upstream, whole,
};
use og_types::language::Piece;
use og_upstream::{AskError, Upstream, UpstreamAccess};
use std::time::{Duration, Instant};
use tokio::{net::TcpListener, time::sleep};

/// An address at which nobody listens.
async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Waits until a question is answered.
async fn answered(upstream: &Upstream) {
    let began = Instant::now();
    while let Err(error) = whole(upstream).await {
        assert!(began.elapsed() < Duration::from_secs(5), "{error}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn servers_take_turns_and_the_least_loaded_is_asked() {
    let slow = |_: &_| [vec![Act::Wait(Duration::from_millis(300))], says("slow")].concat();
    let (one, two) = (
        Player::new(slow).await,
        Player::new(|_| says("quick")).await,
    );
    let upstream = upstream("compatible", &[&one.host, &two.host]);
    let (question, twice) = (question(), question());
    let held = upstream.ask(&question, 1, None);
    let others = async {
        sleep(Duration::from_millis(50)).await;
        for _ in 0..5 {
            assert_eq!(whole(&upstream).await.unwrap().said.text, "quick");
        }
    };
    let (held, ()) = tokio::join!(held, others);
    assert_eq!(held.unwrap().upstream, one.host);
    let replies = tokio::join!(
        upstream.ask(&question, 1, None),
        upstream.ask(&twice, 1, None)
    );
    assert_ne!(replies.0.unwrap().upstream, replies.1.unwrap().upstream);
}

#[tokio::test]
async fn a_dead_server_costs_nobody_an_answer_and_is_soon_left_alone() {
    let failing = Player::new(|_| answer("500 Oops", "", "")).await;
    let well = Player::new(|_| says("Hi")).await;
    let dead = nowhere().await;
    let upstream = upstream("compatible", &[&dead, &failing.host, &well.host]);
    for _ in 0..30 {
        let reply = whole(&upstream).await.unwrap();
        assert_eq!(reply.upstream, well.host);
    }
    assert_eq!(failing.seen.questions().len(), 3);
}

#[tokio::test]
async fn all_dead_is_said_at_once() {
    let hosts = [nowhere().await, nowhere().await];
    let upstream = upstream("compatible", &[&hosts[0], &hosts[1]]);
    for _ in 0..3 {
        let error = whole(&upstream).await.unwrap_err();
        assert!(error.to_string().contains("cannot be reached"), "{error}");
    }
    let error = whole(&upstream).await.unwrap_err();
    assert!(
        matches!(&error, AskError::Failed(text) if hosts.iter().all(|host| text.contains(host))),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_comes_back_is_asked_again() {
    let first = Player::new(|_| says("Hi")).await;
    let host = first.host.clone();
    let upstream = upstream("compatible", &[&host]);
    assert!(whole(&upstream).await.is_ok());
    drop(first);
    for _ in 0..3 {
        whole(&upstream).await.unwrap_err();
    }
    let second = Player::at(&host, |_| says("Hi again")).await;
    // It is tried first: its pause is not over.
    let error = whole(&upstream).await.unwrap_err();
    assert!(error.to_string().contains("at present"), "{error}");
    answered(&upstream).await;
    assert_eq!(second.seen.questions().len(), 1);
}

#[tokio::test]
async fn a_server_that_asks_for_a_pause_gets_it() {
    let busy = Player::new(|_| answer("429 Too Many Requests", "retry-after: 1\r\n", "")).await;
    let well = Player::new(|_| says("Hi")).await;
    let both = upstream("compatible", &[&busy.host, &well.host]);
    for _ in 0..10 {
        assert!(whole(&both).await.is_ok());
    }
    assert_eq!(busy.seen.questions().len(), 1);
    let alone = upstream("compatible", &[&busy.host]);
    for _ in 0..3 {
        let error = whole(&alone).await.unwrap_err();
        assert!(matches!(error, AskError::Busy(_)), "{error}");
    }
    assert_eq!(busy.seen.questions().len(), 2);
}

#[tokio::test]
async fn nobody_else_is_asked_once_an_answer_has_begun() {
    let cut = Player::new(|_| vec![begin(), chunk(frame("a")), Act::Close]).await;
    let well = Player::new(|_| chunks([frame("b"), LAST.to_owned()].concat(), 100)).await;
    let upstream = upstream("compatible", &[&cut.host, &well.host]);
    let mut texts = vec![];
    for _ in 0..2 {
        let (pieces, reply) = streamed(&upstream).await;
        assert_eq!(reply.is_ok(), pieces == [Piece::Text("b".to_owned())]);
        texts.extend(pieces);
    }
    let expected = ["a", "b"].map(|text| Piece::Text(text.to_owned()));
    assert_eq!(texts, expected);
}

#[tokio::test]
async fn a_question_that_is_refused_goes_to_nobody_else() {
    let strict = |_: &_| answer("400 Bad Request", "", "{}");
    let (one, two) = (Player::new(strict).await, Player::new(strict).await);
    let upstream = upstream("compatible", &[&one.host, &two.host]);
    for _ in 0..10 {
        let error = whole(&upstream).await.unwrap_err();
        assert!(matches!(error, AskError::Refused(_)), "{error}");
    }
    let asked = one.seen.questions().len() + two.seen.questions().len();
    assert_eq!(asked, 10);
}

#[tokio::test]
async fn a_server_gets_no_more_at_once_than_the_file_says() {
    let slow = |_: &_| [vec![Act::Wait(Duration::from_millis(300))], says("Hi")].concat();
    let server = Player::new(slow).await;
    let file = format!(
        "[relay]\nurl = \"http://{}/v1\"\nmodel = \"m\"\nmax_requests = 2\n",
        server.host
    );
    let upstream = Upstream::new(&file, &UpstreamAccess::default(), limits()).unwrap();
    let third = async {
        sleep(Duration::from_millis(100)).await;
        whole(&upstream).await
    };
    let (one, two, third) = tokio::join!(whole(&upstream), whole(&upstream), third);
    assert!(one.is_ok() && two.is_ok());
    assert!(matches!(third, Err(AskError::Busy(_))), "{third:?}");
    assert!(whole(&upstream).await.is_ok());
}

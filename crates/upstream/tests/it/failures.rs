//! Servers that break off, fall silent, say nonsense, say too much or refuse; and clients that leave.

use crate::{
    limits,
    player::{Act, LAST, Player, answer, begin, chunk, chunks, frame, says},
    question, streamed, upstream, whole,
};
use og_types::language::Piece;
use og_upstream::{AskError, Upstream, UpstreamAccess, UpstreamKey};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tokio::{sync::mpsc, time::sleep};

/// What comes of a streamed question to a server that does this.
async fn fails(acts: Vec<Act>) -> (Vec<Piece>, AskError) {
    let server = Player::new(move |_| acts.clone()).await;
    let (pieces, reply) = streamed(&upstream("compatible", &[&server.host])).await;
    (pieces, reply.unwrap_err())
}

/// What comes of a whole question to a server that does this.
async fn fails_whole(acts: Vec<Act>) -> AskError {
    let server = Player::new(move |_| acts.clone()).await;
    whole(&upstream("compatible", &[&server.host]))
        .await
        .unwrap_err()
}

#[tokio::test]
async fn an_answer_that_is_broken_off_is_none() {
    let said = vec![Piece::Text("a".to_owned())];
    // The connection ends, or the answer does.
    for end in [Act::Close, chunk("")] {
        let (pieces, error) = fails(vec![begin(), chunk(frame("a")), end]).await;
        assert_eq!(pieces, said);
        assert!(matches!(error, AskError::Failed(_)), "{error}");
    }
    let half = Act::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec());
    let error = fails_whole(vec![half, Act::Close]).await.to_string();
    assert!(error.contains("broke its answer off"), "{error}");
    let error = fails_whole(vec![Act::Close]).await.to_string();
    assert!(error.contains("closed the connection"), "{error}");
}

#[tokio::test]
async fn silence_has_bounds() {
    let began = Instant::now();
    let (_, error) = fails(vec![Act::WaitForLeave]).await;
    assert!(error.to_string().contains("did not begin"), "{error}");
    let (_, error) = fails(vec![begin(), chunk(frame("a")), Act::WaitForLeave]).await;
    assert!(error.to_string().contains("fell silent"), "{error}");
    assert!(began.elapsed() < limits().total, "{:?}", began.elapsed());
    // A server that always says a little has until the end.
    let mut slow = vec![begin()];
    for _ in 0..40 {
        slow.extend([chunk(frame("a")), Act::Wait(Duration::from_millis(200))]);
    }
    let began = Instant::now();
    let (pieces, error) = fails(slow).await;
    assert!(pieces.len() > 10, "{}", pieces.len());
    assert!(matches!(error, AskError::Failed(_)), "{error}");
    assert!(began.elapsed() >= limits().total);
}

#[tokio::test]
async fn a_slow_reader_is_not_the_servers_fault() {
    let server =
        Player::new(|_| chunks([frame("a").repeat(20), LAST.to_owned()].concat(), 4000)).await;
    let upstream = upstream("compatible", &[&server.host]);
    let (sender, mut receiver) = mpsc::channel(1);
    let question = question();
    let reading = async {
        let mut count = 0;
        while receiver.recv().await.is_some() {
            count += 1;
            sleep(Duration::from_millis(50)).await;
            if count == 20 {
                break;
            }
        }
        count
    };
    let (reply, count) = tokio::join!(upstream.ask(&question, 1, Some(&sender)), reading);
    assert_eq!((reply.unwrap().said.text.len(), count), (20, 20));
}

#[tokio::test]
async fn nonsense_is_refused() {
    for body in [
        "no JSON",
        r#"{"choices":[]}"#,
        r#"{"choices":[{"finish_reason":"stop","text":7}]}"#,
    ] {
        let error = fails_whole(answer("200 OK", "", body)).await;
        assert!(matches!(error, AskError::Failed(_)), "{body}: {error}");
    }
    let (_, error) = fails(chunks("data: no JSON\n\n", 100)).await;
    assert!(matches!(error, AskError::Failed(_)), "{error}");
    let (_, error) = fails(vec![Act::Send(b"SMTP ready\r\n".to_vec()), Act::Close]).await;
    assert!(matches!(error, AskError::Failed(_)), "{error}");
    // An error within a stream.
    let failure = "data: {\"error\":{\"message\":\"out of memory\"}}\n\n";
    let (_, error) = fails(chunks(failure, 100)).await;
    assert!(error.to_string().contains("out of memory"), "{error}");
}

#[tokio::test]
async fn answers_have_bounds() {
    let long = "x".repeat(limits().answer_bytes);
    let error = fails_whole(says(&long)).await.to_string();
    assert!(error.contains("10000 bytes"), "{error}");
    let (_, error) = fails(chunks(
        [frame(&long), frame("x"), LAST.to_owned()].concat(),
        4000,
    ))
    .await;
    assert!(error.to_string().contains("10000 bytes"), "{error}");
    // Comments say nothing, and end nowhere.
    let (_, error) = fails(chunks(": waiting\n".repeat(20_000), 4000)).await;
    assert!(error.to_string().contains("100000 bytes"), "{error}");
}

#[tokio::test]
async fn a_refusal_says_whose_fault_it_is() {
    let said = r#"{"error":{"message":"too many turns","param":"messages[9].role"}}"#;
    let error = fails_whole(answer("400 Bad Request", "", said)).await;
    let AskError::Refused(refusal) = error else {
        panic!("{error}");
    };
    assert!(refusal.reason.ends_with("too many turns"), "{refusal}");
    assert_eq!(refusal.input.as_deref(), Some("prompt"));
    let error = fails_whole(answer("429 Too Many Requests", "", "")).await;
    assert!(matches!(error, AskError::Busy(_)), "{error}");
    for status in [
        "500 Oops",
        "302 Found\r\nlocation: /",
        "404 Not Found",
        "401 Unauthorized",
    ] {
        let error = fails_whole(answer(status, "", "")).await;
        assert!(matches!(error, AskError::Failed(_)), "{status}: {error}");
    }
}

#[tokio::test]
async fn a_key_goes_to_its_host_and_into_no_message() {
    for (service, header, value) in [
        ("openai", "authorization", "Bearer s3cret"),
        ("anthropic", "x-api-key", "s3cret"),
        ("google", "x-goog-api-key", "s3cret"),
    ] {
        let said = r#"{"error":{"message":"no s3cret today"}}"#;
        let server = Player::new(move |_| answer("400 Bad Request", "", said)).await;
        let file = format!(
            "[relay]\nservice = {service:?}\nurl = \"http://{}/v1\"\nmodel = \"m\"\n",
            server.host
        );
        let key = UpstreamKey::new(" s3cret\n").unwrap();
        let access = UpstreamAccess {
            keys: [(server.host.clone(), key)].into(),
            ..UpstreamAccess::default()
        };
        let upstream = Upstream::new(&file, &access, limits()).unwrap();
        let error = whole(&upstream).await.unwrap_err();
        assert!(error.to_string().ends_with("no [key] today"), "{error}");
        assert!(!format!("{upstream:?}").contains("s3cret"));
        assert_eq!(server.seen.questions()[0].headers[header], value);
    }
}

#[tokio::test]
async fn the_request_is_dropped_with_its_client() {
    for begun in [false, true] {
        let server = Player::new(move |_| match begun {
            true => vec![begin(), chunk(frame("a")), Act::WaitForLeave],
            false => vec![Act::WaitForLeave],
        })
        .await;
        let upstream = upstream("compatible", &[&server.host]);
        let (sender, mut receiver) = mpsc::channel(10);
        let question = question();
        {
            let ask = upstream.ask(&question, 1, Some(&sender));
            let leave = async {
                match begun {
                    true => drop(receiver.recv().await),
                    false => sleep(Duration::from_millis(100)).await,
                }
            };
            tokio::select! {
                reply = ask => panic!("{reply:?}"),
                () = leave => {}
            }
        }
        let waits = (0..100).map(|_| Duration::from_millis(3));
        for pause in waits {
            if server.seen.left.load(Ordering::Relaxed) == 1 {
                break;
            }
            sleep(pause).await;
        }
        assert_eq!(
            server.seen.left.load(Ordering::Relaxed),
            1,
            "begun: {begun}"
        );
    }
}

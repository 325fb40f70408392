//! Answers of OpenAI, Anthropic and Google, as recorded, whole and streamed.

use crate::{
    player::{Asked, Player, answer, chunks},
    question, streamed, upstream, whole,
};
use og_types::language::{Finish, Message, ONE, Piece, Prompt, Question, RelayedReply, Said};
use og_upstream::{AskError, Upstream};
use serde_json::json;
use std::sync::atomic::Ordering;

const OPENAI: &str = include_str!("../../../dialects/tests/vectors/answers/openai_chat.json");
const OPENAI_STREAM: &str = include_str!("../../../dialects/tests/vectors/answers/openai_chat.sse");
const ANTHROPIC: &str =
    include_str!("../../../dialects/tests/vectors/answers/anthropic_messages.json");
const ANTHROPIC_STREAM: &str =
    include_str!("../../../dialects/tests/vectors/answers/anthropic_messages.sse");
/// In the form of Google's reference.
const GOOGLE: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Well, é"}]},"finishReason":"SAFETY","index":0}],
    "usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":15,"thoughtsTokenCount":5,"totalTokenCount":30},"modelVersion":"m"}"#;

/// A server that answers whole or streamed, as it is asked.
async fn plays(whole: &'static str, stream: &'static str) -> Player {
    Player::new(move |asked| match streams(asked) {
        // Wherever the stream is cut, its pieces are the same.
        true => chunks(stream, 7),
        false => answer("200 OK", "", whole),
    })
    .await
}

fn streams(asked: &Asked) -> bool {
    asked.body["stream"] == true || asked.line.contains("stream")
}

/// Asks both ways; the answer is the same, and so is what its pieces say.
async fn both(upstream: &Upstream) -> RelayedReply {
    let whole = whole(upstream).await.unwrap();
    let (pieces, reply) = streamed(upstream).await;
    assert_eq!(reply, Ok(whole.clone()));
    let mut said = Said::empty();
    for piece in &pieces {
        said.add(piece).unwrap();
    }
    assert_eq!(said.check(&whole.said), Ok(()));
    whole
}

#[tokio::test]
async fn openai_answers_whole_and_streamed() {
    let server = plays(OPENAI, OPENAI_STREAM).await;
    let reply = both(&upstream("openai", &[&server.host])).await;
    assert_eq!(reply.said.text, "Well, é");
    assert_eq!(reply.said.finish, Finish::ToolCalls);
    assert_eq!(reply.said.tool_calls[0].arguments, "{\"at\":1}");
    assert_eq!(reply.said.logprobs.len(), 1);
    assert_eq!(
        (reply.upstream, reply.upstream_model),
        (server.host.clone(), "m".to_owned())
    );
    assert_eq!((reply.prompt_tokens, reply.tokens), (Some(10), Some(20)));
    let asked = server.seen.questions();
    assert_eq!(asked[0].line, "POST /v1/chat/completions");
    assert!(asked[0].body.get("seed").is_none(), "{}", asked[0].body);
    assert_eq!(asked[0].body["max_completion_tokens"], 9);
    assert_eq!(
        asked[1].body["stream_options"],
        json!({"include_usage": true})
    );
    // Both went over one connection.
    assert_eq!(server.seen.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn anthropic_answers_whole_and_streamed() {
    let server = plays(ANTHROPIC, ANTHROPIC_STREAM).await;
    let reply = both(&upstream("anthropic", &[&server.host])).await;
    assert_eq!(reply.said.text, "Well, é");
    assert_eq!(reply.said.finish, Finish::ToolCalls);
    assert_eq!((reply.prompt_tokens, reply.tokens), (Some(10), Some(20)));
    let asked = server.seen.questions();
    assert_eq!(asked[0].line, "POST /v1/messages");
    assert_eq!(asked[0].headers["anthropic-version"], "2023-06-01");
    assert!(asked[0].body.get("seed").is_none(), "{}", asked[0].body);
}

#[tokio::test]
async fn google_answers_whole_and_streamed() {
    let one_line = GOOGLE.replace('\n', " ");
    let stream: &'static str = format!("data: {one_line}\r\n\r\n").leak();
    let server = plays(GOOGLE, stream).await;
    let reply = both(&upstream("google", &[&server.host])).await;
    assert_eq!(reply.said.text, "Well, é");
    assert_eq!(reply.said.finish, Finish::ContentFilter);
    assert_eq!((reply.prompt_tokens, reply.tokens), (Some(10), Some(20)));
    let lines: Vec<_> = server
        .seen
        .questions()
        .into_iter()
        .map(|asked| asked.line)
        .collect();
    assert_eq!(
        lines,
        [
            "POST /v1/models/m:generateContent",
            "POST /v1/models/m:streamGenerateContent?alt=sse"
        ]
    );
}

#[tokio::test]
async fn pieces_come_before_the_answer_is_complete() {
    use crate::player::{Act, LAST, begin, chunk, frame};
    let server = Player::new(|_| {
        vec![
            begin(),
            chunk(frame("a")),
            Act::Wait(std::time::Duration::from_millis(300)),
            chunk(LAST),
            chunk(""),
        ]
    })
    .await;
    let upstream = upstream("compatible", &[&server.host]);
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let question = question();
    let mut ask = std::pin::pin!(upstream.ask(&question, 1, Some(&sender)));
    tokio::select! {
        piece = receiver.recv() => assert_eq!(piece, Some(Piece::Text("a".to_owned()))),
        _ = &mut ask => panic!("the answer came before its first piece"),
    }
    assert_eq!(ask.await.unwrap().said.text, "a");
}

#[tokio::test]
async fn what_a_service_cannot_do_is_refused_before_anything_is_sent() {
    let server = plays(ANTHROPIC, ANTHROPIC_STREAM).await;
    let texts = Question::new(Prompt::Text("Once".to_owned()));
    let narrow = Question {
        repetition_penalty: 2 * ONE,
        ..Question::new(Prompt::Messages(vec![Message::text("user", "Hello")]))
    };
    for (question, seed, name) in [
        (texts, 0, "prompt"),
        (narrow, 0, "repetition_penalty"),
        (question(), 7, "seed"),
    ] {
        let upstream = upstream("anthropic", &[&server.host]);
        let error = upstream.ask(&question, seed, None).await.unwrap_err();
        let AskError::Refused(refusal) = error else {
            panic!("{error}");
        };
        assert_eq!(refusal.input.as_deref(), Some(name));
    }
    assert!(server.seen.questions().is_empty());
}

#[tokio::test]
async fn a_seed_that_was_chosen_is_sent() {
    let server = plays(OPENAI, OPENAI_STREAM).await;
    let upstream = upstream("openai", &[&server.host]);
    upstream.ask(&question(), 7, None).await.unwrap();
    assert_eq!(server.seen.questions()[0].body["seed"], 7);
}

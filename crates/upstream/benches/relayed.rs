//! What one relayed answer costs: a server in this process answers at once with 20 tokens, whole and streamed.
//!
//! `cargo bench -p og-upstream --bench relayed`. The figures are of both sides together: the server reads the request and
//! writes bytes that are ready.

use og_types::language::{Message, Prompt, Question};
use og_upstream::{Limits, Upstream, UpstreamAccess};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// Questions that are asked one after the other by each of those who ask at once.
const QUESTIONS: u32 = 2000;
/// Streams that are open at once to see what they take.
const OPEN: usize = 5000;

#[tokio::main]
async fn main() {
    let host = serve().await;
    let file = format!("[relay]\nurl = \"http://{host}/v1\"\nmodel = \"m\"\n");
    let upstream = Upstream::new(&file, &UpstreamAccess::default(), Limits::default());
    let upstream = Arc::new(upstream.expect("the file is right"));
    for streamed in [false, true] {
        for at_once in [1, 32] {
            let began = Instant::now();
            let asking = (0..at_once).map(|_| tokio::spawn(ask(upstream.clone(), streamed)));
            for asked in asking.collect::<Vec<_>>() {
                asked.await.expect("the questions are answered");
            }
            let each = began.elapsed() / (QUESTIONS * at_once);
            let rate = 1.0 / each.as_secs_f64();
            println!("streamed {streamed}, {at_once} at once: {each:?} each, {rate:.0} a second");
        }
    }
    open_streams(&upstream).await;
}

async fn ask(upstream: Arc<Upstream>, streamed: bool) {
    for _ in 0..QUESTIONS {
        let (sender, mut receiver) = mpsc::channel(16);
        let reply = async {
            let pieces = streamed.then_some(&sender);
            let reply = upstream.ask(&question("Hello"), 1, pieces).await;
            drop(sender);
            reply.expect("an answer")
        };
        let read = async { while receiver.recv().await.is_some() {} };
        let (reply, ()) = tokio::join!(reply, read);
        assert_eq!(reply.tokens, Some(20));
    }
}

fn question(text: &str) -> Question {
    Question::new(Prompt::Messages(vec![Message::text("user", text)]))
}

/// Opens streams that say one token and go on, and says how much memory they take, the server's side included.
async fn open_streams(upstream: &Arc<Upstream>) {
    let before = resident();
    let mut open = vec![];
    for _ in 0..OPEN {
        let (sender, mut receiver) = mpsc::channel(16);
        let upstream = upstream.clone();
        let asked = tokio::spawn(async move {
            let question = question("Wait");
            upstream.ask(&question, 1, Some(&sender)).await
        });
        let first = tokio::time::timeout(Duration::from_secs(10), receiver.recv()).await;
        assert!(matches!(first, Ok(Some(_))), "a first piece");
        open.push((asked, receiver));
    }
    let each = resident().saturating_sub(before) / OPEN;
    println!("{OPEN} open streams: {each} KiB each, both sides");
    for (asked, _) in open {
        asked.abort();
    }
}

/// Memory of this process, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// A server that answers at once; its address.
async fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let host = listener.local_addr().expect("an address").to_string();
    let answers = Arc::new(Answers::new());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, answers.clone()));
        }
    });
    host
}

/// What is answered, ready to be sent.
struct Answers {
    whole: Vec<u8>,
    first: Vec<u8>,
    streamed: Vec<u8>,
}

impl Answers {
    fn new() -> Self {
        let usage = r#""usage":{"prompt_tokens":8,"completion_tokens":20,"total_tokens":28}"#;
        let body = format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":{:?}}},"finish_reason":"stop"}}],{usage}}}"#,
            "token ".repeat(20)
        );
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let chunk = |choices: &str, more: &str| {
            let frame = format!(
                "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{choices}]{more}}}\n\n"
            );
            format!("{:x}\r\n{frame}\r\n", frame.len())
        };
        let token = chunk(
            r#"{"index":0,"delta":{"content":"token "},"finish_reason":null}"#,
            "",
        );
        let last = chunk(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#, "");
        let counted = chunk("", &format!(",{usage}"));
        let begin = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let tokens = token.repeat(20);
        Self {
            whole: [head, body].concat().into_bytes(),
            first: [begin, &token].concat().into_bytes(),
            streamed: format!("{begin}{tokens}{last}{counted}e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
                .into_bytes(),
        }
    }
}

async fn answer(mut stream: TcpStream, answers: Arc<Answers>) {
    let mut buffer = vec![0; 4096];
    // A request here fits one packet.
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let request = String::from_utf8_lossy(&buffer[..read]);
        let answer = match (
            request.contains("\"Wait\""),
            request.contains("\"stream\":true"),
        ) {
            (true, _) => &answers.first,
            (false, true) => &answers.streamed,
            (false, false) => &answers.whole,
        };
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

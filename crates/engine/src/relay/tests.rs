//! A relay beside a server of a few lines, which speaks HTTP over a real socket.

use super::*;
use og_types::{
    embedding::RelayedVectors,
    language::{Message, Piece, Prompt, Said},
};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
};

/// A server that answers requests with these texts, one connection each; its address.
fn server(status: &'static str, answers: Vec<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                lines.read_line(&mut head).unwrap();
            }
            let head = head.to_ascii_lowercase();
            let (_, length) = head.split_once("content-length: ").unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            lines.read_exact(&mut vec![0; length]).unwrap();
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", answer.len());
            let _ = write!(stream, "{head}connection: close\r\n\r\n{answer}");
        }
    });
    address
}

fn relay(address: &str) -> Arc<Relay> {
    let file = format!("[relay]\nurl = \"http://{address}/v1\"\nmodel = \"m\"\n");
    Arc::new(Relay::new(&file, &UpstreamAccess::default()).unwrap())
}

fn inputs() -> Vec<Tensor> {
    let prompt = Prompt::Messages(vec![Message::text("user", "Hello")]);
    Question::new(prompt).to_tensors().unwrap()
}

#[tokio::test]
async fn an_answer_is_passed_on_whole_and_in_pieces() {
    let whole =
        r#"{"model":"m-2","choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}"#;
    let streamed = "data: {\"model\":\"m-2\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\n";
    let address = server("200 OK", vec![whole, streamed]);
    let relay = relay(&address);
    assert_eq!(relay.computed(), Computed::Relayed);
    let outputs = relay.clone().run(inputs(), 1, Pieces::UNWANTED).await;
    let reply = RelayedReply::from_tensors(outputs.as_ref().unwrap()).unwrap();
    let said = Said {
        text: "Hi".to_owned(),
        ..Said::empty()
    };
    assert_eq!((reply.said, reply.upstream), (said, address));
    let (pieces, mut reader) = Pieces::channel();
    let (again, piece) = tokio::join!(relay.run(inputs(), 1, pieces), reader.recv());
    assert_eq!(again, outputs);
    assert_eq!(piece, Some(Piece::Text("Hi".to_owned())));
}

#[tokio::test]
async fn texts_become_vectors_where_the_file_says_so() {
    let address = server(
        "200 OK",
        vec![r#"{"data":[{"index":0,"embedding":[0.5]}]}"#],
    );
    let file =
        format!("[relay]\ntask = \"embeddings\"\nurl = \"http://{address}/v1\"\nmodel = \"m\"\n");
    let relay = Arc::new(Relay::new(&file, &UpstreamAccess::default()).unwrap());
    assert_eq!(*relay.describe(), embedding::relayed_description());
    let texts = Texts {
        texts: vec!["Hi".to_owned()],
        dimensions: None,
    };
    let inputs = texts.to_tensors().unwrap();
    let outputs = relay
        .clone()
        .run(inputs, 0, Pieces::UNWANTED)
        .await
        .unwrap();
    let vectors = RelayedVectors::from_tensors(&outputs).unwrap();
    assert_eq!(
        (vectors.vectors, vectors.upstream),
        (vec![vec![0.5]], address)
    );
    let none = Texts {
        texts: vec![],
        dimensions: None,
    };
    let refused = relay
        .run(none.to_tensors().unwrap(), 0, Pieces::UNWANTED)
        .await;
    let Err(RunError::Refused(refusal)) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(refusal.input.as_deref(), Some("input"));
}

#[tokio::test]
async fn a_failure_says_whose_fault_it_is() {
    let fails = async |status| {
        let relay = relay(&server(status, vec!["{}"]));
        relay.run(inputs(), 1, Pieces::UNWANTED).await.unwrap_err()
    };
    assert!(matches!(fails("400 No").await, RunError::Refused(_)));
    assert!(matches!(fails("429 Later").await, RunError::Busy(_)));
    assert!(matches!(fails("500 Oops").await, RunError::Model(_)));
    let strange = relay("127.0.0.1:1").run(vec![], 1, Pieces::UNWANTED).await;
    assert!(matches!(strange, Err(RunError::Input(_))), "{strange:?}");
}

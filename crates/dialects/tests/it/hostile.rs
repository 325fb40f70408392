//! Bytes that nobody should send: an error, or something that was read, and never a panic.

use og_dialects::{
    anthropic,
    openai::{Defaults, chat, completions, embeddings, responses},
    upstream::Service,
};
use proptest::prelude::*;

/// Every service that is asked.
const SERVICES: [Service; 3] = [Service::OpenAi, Service::Anthropic, Service::Google];

/// Text that looks like what is expected, more or less.
fn almost() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "null",
        "1",
        "-1e9",
        "true",
        "data: ",
        "\n\n",
        "event: ",
        "\"model\"",
        "\"messages\"",
        "\"role\"",
        "\"content\"",
        "\"type\"",
        "\"text\"",
        "\"choices\"",
        "\"delta\"",
        "\"tool_calls\"",
        "\"function\"",
        "\"index\"",
        "\"error\"",
        "\"usage\"",
        "\"candidates\"",
        "\"parts\"",
        "\"message\"",
        "\"prompt\"",
        "\"input\"",
        "\u{1f44d}",
    ]);
    let words = prop::collection::vec(words, 0..40).prop_map(|words| words.concat().into_bytes());
    prop_oneof![words, any::<Vec<u8>>()]
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in almost()) {
        let _ = chat::Request::parse(&bytes, Defaults::OPENAI);
        let _ = completions::Request::parse(&bytes, Defaults::OPENAI);
        let _ = anthropic::Request::parse(&bytes);
        let _ = embeddings::Request::parse(&bytes);
        let _ = embeddings::read(&bytes, 1);
        let _ = responses::Request::parse(&bytes);
        for service in SERVICES {
            let _ = service.read(&bytes);
            let mut stream = service.stream();
            if stream.push(&bytes).is_ok() {
                let _ = stream.end();
            }
        }
    }
}

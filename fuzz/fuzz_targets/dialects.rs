//! What clients ask and services answer, in the services' formats: the request or answer, or a named error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_dialects::{
    Head, anthropic,
    openai::{Defaults, chat, completions, embeddings, responses},
    parameter,
    upstream::{Call, Service, refused},
};
use og_types::language::{Prompt, Question};
use serde_json::Map;

const SERVICES: [Service; 7] = [
    Service::OpenAi,
    Service::Xai,
    Service::Vllm,
    Service::LlamaServer,
    Service::Compatible,
    Service::Anthropic,
    Service::Google,
];

fn head() -> Head {
    Head {
        id: "resp_1".to_owned(),
        created: 0,
        model: "m".to_owned(),
    }
}

/// What was understood goes to every service, or is refused there.
fn ask(question: &Question) {
    for service in SERVICES {
        let call = Call {
            question,
            model: "m",
            seed: None,
            stream: true,
            most_tokens: 1,
        };
        let _ = service.request(&call);
    }
}

fn requests(bytes: &[u8]) {
    if let Ok(request) = chat::Request::parse(bytes, Defaults::OPENGRADIENT) {
        assert!(matches!(request.question.prompt, Prompt::Messages(_)));
        ask(&request.question);
    }
    if let Ok(request) = completions::Request::parse(bytes, Defaults::OPENAI_COMPLETIONS) {
        request.questions.iter().for_each(ask);
    }
    if let Ok(request) = anthropic::Request::parse(bytes) {
        ask(&request.question);
    }
    let _ = anthropic::Request::parse_count(bytes);
    if let Ok(request) = responses::Request::parse(bytes) {
        ask(&request.question);
    }
    let _ = embeddings::Request::parse(bytes);
}

/// Whatever was said can be said to every client.
fn answers(service: Service, bytes: &[u8]) {
    if let Ok(answered) = service.read(bytes) {
        let _ = anthropic::whole(&head(), &answered.said, &[], None, Map::new());
    }
    let mut stream = service.stream();
    let mut to_chat = chat::Stream::new(head(), og_dialects::openai::Style::OpenAi, true, 1);
    let mut to_messages = anthropic::Stream::new(head(), vec![]);
    for chunk in bytes.chunks(7) {
        let Ok(pieces) = stream.push(chunk) else {
            return;
        };
        to_chat.pieces(0, &pieces).expect("arguments follow a call");
        // Here text may come between a call and the rest of its arguments.
        let _ = to_messages.pieces(&pieces);
    }
    let _ = stream.end();
}

fuzz_target!(|bytes: &[u8]| {
    requests(bytes);
    for service in SERVICES {
        answers(service, bytes);
    }
    let _ = embeddings::read(bytes, 1);
    let _ = refused("h", 400, bytes);
    if let Ok(input) = std::str::from_utf8(bytes) {
        for call in [parameter::chat, parameter::completions, parameter::responses, parameter::messages] {
            let _ = call(input);
        }
    }
});

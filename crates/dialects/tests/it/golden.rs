//! What the services' published clients read, and what their types say of what services are sent (`tests/vectors/README.md`).

use crate::{
    requests::{body, called, question, vectors},
    round_trip::{USAGE, head},
};
use og_dialects::{
    ApiError, Fault, Head, anthropic,
    openai::{Style, chat, completions, embeddings, models, responses},
    upstream::{Call, Service},
};
use og_types::language::{Alternative, Finish, Logprob, ONE, Said, ToolChoice};
use serde_json::{Map, Value, json};
use std::fs;

fn said() -> Said {
    let alternative = |text: &str, logprob| Alternative {
        bytes: text.into(),
        logprob,
    };
    Said {
        text: "Well, é".to_owned(),
        tool_calls: vec![called()],
        logprobs: vec![Logprob {
            chosen: alternative("Well, é", -ONE / 2),
            top: vec![alternative("Well, é", -ONE / 2), alternative("No", -ONE)],
        }],
        finish: Finish::ToolCalls,
    }
}

fn extra() -> Map<String, Value> {
    Map::from_iter([("og_receipt".to_owned(), json!({"id": "0x01"}))])
}

fn named(id: &str) -> Head {
    Head {
        id: id.to_owned(),
        ..head()
    }
}

/// What clients read: names of files, and what stands in them.
fn answers() -> Vec<(&'static str, String)> {
    let said = said();
    let pieces = said.pieces();
    let some = Some(USAGE);
    let text = Said {
        tool_calls: vec![],
        finish: Finish::Length,
        ..said.clone()
    };
    let one = std::slice::from_ref(&said);
    let whole = chat::whole(&named("chatcmpl-1"), Style::OpenAi, one, some, extra());
    let mut stream = chat::Stream::new(named("chatcmpl-1"), Style::OpenAi, true, 1);
    let mut chat_frames = String::new();
    for piece in pieces.chunks(1) {
        chat_frames += &stream.pieces(0, piece).unwrap();
    }
    chat_frames += &stream.end(&[said.finish], some, extra());
    let mut stream = chat::Stream::new(named("chatcmpl-1"), Style::OpenGradient, false, 1);
    let mut opengradient = stream.pieces(0, &pieces).unwrap();
    opengradient += &stream.end(&[said.finish], some, extra());
    let completion = completions::whole(
        &named("cmpl-1"),
        Style::OpenAi,
        std::slice::from_ref(&text),
        some,
        extra(),
    );
    let mut stream = completions::Stream::new(named("cmpl-1"), true, 1);
    let mut completion_frames = stream.pieces(0, &text.pieces());
    completion_frames += &stream.end(&[text.finish], some, extra());
    let message = anthropic::whole(&named("msg_1"), &said, &[], some, extra()).unwrap();
    let mut stream = anthropic::Stream::new(named("msg_1"), vec![]);
    let mut message_frames = stream.pieces(&pieces).unwrap();
    message_frames += &stream.end(said.finish, some, extra());
    let error = ApiError::new(Fault::Busy, "Come back.");
    let broken = chat::Stream::new(named("chatcmpl-1"), Style::OpenAi, true, 1).error(&error);
    let mut stream = anthropic::Stream::new(named("msg_1"), vec![]);
    let mut message_broken = stream.pieces(&pieces[..1]).unwrap();
    message_broken += &stream.error(&error);
    let embedded = embeddings::Embedded {
        vectors: vec![vec![0.5, -0.25]],
        model: "m".to_owned(),
        tokens: Some(3),
    };
    let model = models::Model {
        id: "m".to_owned(),
        created: 7,
        owner: "og".to_owned(),
        extra: extra(),
    };
    let mut answers = vec![
        ("openai_chat.json", whole.to_string()),
        ("openai_chat.sse", chat_frames),
        ("openai_chat_broken.sse", broken),
        ("opengradient_chat.sse", opengradient),
        ("openai_completion.json", completion.to_string()),
        ("openai_completion.sse", completion_frames),
        ("anthropic_messages.json", message.to_string()),
        ("anthropic_messages.sse", message_frames),
        ("anthropic_messages_broken.sse", message_broken),
        (
            "openai_embeddings.json",
            embeddings::whole(&embedded, embeddings::Encoding::Base64, extra()).to_string(),
        ),
        ("openai_models.json", models::list(&[model]).to_string()),
        (
            "openai_error.json",
            models::unknown("m").openai().to_string(),
        ),
        ("anthropic_error.json", error.anthropic().to_string()),
        ("anthropic_count.json", anthropic::count(7).to_string()),
    ];
    answers.extend(responses_answers(&said));
    answers
}

fn responses_answers(said: &Said) -> Vec<(&'static str, String)> {
    let request = responses::Request::parse(&body("openai_responses.json")).unwrap();
    let head = named("resp_1");
    let whole = responses::whole(&head, &request.echo, said, Some(USAGE), extra());
    let mut stream = responses::Stream::new(head.clone(), request.echo.clone());
    let mut frames = stream.pieces(&said.pieces()).unwrap();
    frames += &stream.end(said.finish, Some(USAGE), extra());
    let mut stream = responses::Stream::new(head, request.echo);
    let failed = stream.error(&ApiError::new(Fault::Busy, "Come back."));
    vec![
        ("openai_responses.json", whole.to_string()),
        ("openai_responses.sse", frames),
        ("openai_responses_failed.sse", failed),
    ]
}

/// What services are sent.
fn sent() -> Vec<(&'static str, String)> {
    let mut question = question();
    question.tool_choice = ToolChoice::Tool("look".to_owned());
    let call = Call {
        question: &question,
        model: "m",
        seed: None,
        stream: false,
        most_tokens: 100,
    };
    let body = |service: Service| format!("{:#}\n", service.request(&call).unwrap().body);
    vec![
        ("openai.json", body(Service::OpenAi)),
        ("anthropic.json", body(Service::Anthropic)),
        ("google.json", body(Service::Google)),
    ]
}

#[test]
fn what_is_written_is_what_clients_and_services_were_shown() {
    for (folder, files) in [("answers", answers()), ("sent", sent())] {
        for (name, text) in files {
            let known = fs::read_to_string(vectors().join(folder).join(name)).unwrap();
            assert!(
                known == text,
                "{folder}/{name} is {text}\nand was {known}: see tests/vectors/README.md"
            );
        }
    }
}

/// Writes the files anew; `check.py` then shows them to the clients.
#[test]
#[ignore = "it writes the files that the test above compares with"]
fn write_the_files() {
    for (folder, files) in [("answers", answers()), ("sent", sent())] {
        for (name, text) in files {
            fs::write(vectors().join(folder).join(name), text).unwrap();
        }
    }
}

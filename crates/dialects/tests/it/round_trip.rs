//! What one side writes, the other reads as the same.

use crate::arbitrary::{question, said};
use og_dialects::{
    Head, Usage, anthropic,
    openai::{Defaults, Style, chat, completions},
    upstream::{AnswerError, Answered, Call, Ended, Report, Service},
};
use og_types::language::{Content, Format, ONE, Part, Piece, Prompt, Question, Said, ToolChoice};
use proptest::{collection::vec, prelude::*};
use serde_json::Map;

pub(crate) fn head() -> Head {
    Head {
        id: "id-1".to_owned(),
        created: 7,
        model: "m".to_owned(),
    }
}

pub(crate) const USAGE: Usage = Usage {
    prompt_tokens: 10,
    answer_tokens: 20,
};

pub(crate) fn report() -> Report {
    Report {
        model: "m".to_owned(),
        prompt_tokens: Some(10),
        tokens: Some(20),
    }
}

/// Reads a stream that comes in chunks of these lengths, over and over.
pub(crate) fn read(
    service: Service,
    frames: &str,
    lengths: &[usize],
) -> Result<Answered, AnswerError> {
    let mut stream = service.stream();
    let mut said = Said::empty();
    let mut rest = frames.as_bytes();
    for length in lengths.iter().cycle() {
        let (chunk, after) = rest.split_at(rest.len().min(*length));
        for piece in stream.push(chunk)? {
            said.add(&piece).expect("calls before arguments");
        }
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    let Ended { finish, report } = stream.end()?;
    said.finish = finish;
    Ok(Answered { said, report })
}

pub(crate) fn call(question: &Question) -> Call<'_> {
    Call {
        question,
        model: "m",
        seed: Some(5),
        stream: true,
        most_tokens: 100,
    }
}

proptest! {
    #[test]
    fn openais_whole_answer(said in said()) {
        let body = chat::whole(&head(), Style::OpenAi, std::slice::from_ref(&said), Some(USAGE), Map::new());
        let answered = Service::OpenAi.read(body.to_string().as_bytes());
        prop_assert_eq!(answered, Ok(Answered { said, report: report() }));
    }

    #[test]
    fn openais_stream_however_it_is_cut(said in said(), lengths in vec(1..50_usize, 1..9), at_once: bool) {
        let mut stream = chat::Stream::new(head(), Style::OpenAi, true, 1);
        let pieces = said.pieces();
        let size = if at_once { pieces.len().max(1) } else { 1 };
        let mut frames = String::new();
        for pieces in pieces.chunks(size) {
            frames += &stream.pieces(0, pieces).unwrap();
        }
        frames += &stream.end(&[said.finish], Some(USAGE), Map::new());
        let answered = read(Service::OpenAi, &frames, &lengths);
        prop_assert_eq!(answered, Ok(Answered { said, report: report() }));
    }

    #[test]
    fn a_stream_that_is_cut_off_is_no_answer(said in said(), share in 0..100_usize) {
        let stream = chat::Stream::new(head(), Style::OpenAi, false, 1);
        let frames = stream.end(&[said.finish], None, Map::new());
        let frame = frames.find("\n\n").unwrap();
        let cut = &frames[..frame * share / 100];
        prop_assert_eq!(read(Service::OpenAi, cut, &[16]), Err(AnswerError::Cut));
    }

    #[test]
    fn completions(text in "\\PC{0,20}", said in said()) {
        let said = Said { text, tool_calls: vec![], finish: og_types::language::Finish::Length, ..said };
        let body = completions::whole(&head(), Style::OpenAi, std::slice::from_ref(&said), Some(USAGE), Map::new());
        let whole = Service::Vllm.read(body.to_string().as_bytes()).unwrap();
        let mut stream = completions::Stream::new(head(), true, 1);
        let mut frames = stream.pieces(0, &said.pieces());
        frames += &stream.end(&[said.finish], Some(USAGE), Map::new());
        let streamed = read(Service::Vllm, &frames, &[7]).unwrap();
        for answered in [whole, streamed] {
            prop_assert_eq!(&answered.report, &report());
            prop_assert_eq!(&answered.said.text, &said.text);
            // Alternatives come without order, and once each.
            let chosen = |said: &Said| said.logprobs.iter().map(|token| token.chosen.clone()).collect::<Vec<_>>();
            prop_assert_eq!(chosen(&answered.said), chosen(&said));
        }
    }

    #[test]
    fn openais_question(question in question()) {
        let sent = Service::OpenAi.request(&call(&question)).unwrap();
        prop_assert_eq!(&sent.path, "chat/completions");
        let request = chat::Request::parse(sent.body.to_string().as_bytes(), Defaults::OPENAI).unwrap();
        prop_assert_eq!(request.question, question);
        prop_assert_eq!((request.seed, request.stream, request.include_usage), (Some(5), true, true));
    }
}

/// What Anthropic's API can say of a question.
fn for_anthropic(question: Question) -> Question {
    Question {
        frequency_penalty: 0,
        presence_penalty: 0,
        logprobs: None,
        temperature: question.temperature.min(ONE),
        max_tokens: Some(question.max_tokens.unwrap_or(100)),
        format: match question.format {
            Format::JsonObject => Format::Text,
            format => format,
        },
        parallel_tool_calls: question.parallel_tool_calls
            || question.tool_choice == ToolChoice::None,
        ..question
    }
}

proptest! {
    #[test]
    fn anthropics_question(question in question()) {
        let question = for_anthropic(question);
        let call = Call { seed: None, ..call(&question) };
        let sent = Service::Anthropic.request(&call).unwrap();
        let Prompt::Messages(turns) = &question.prompt else { panic!("a conversation") };
        let request = anthropic::Request::parse(sent.body.to_string().as_bytes());
        if turns.last().is_some_and(|turn| turn.role == "assistant") {
            prop_assert_eq!(request.unwrap_err().param, Some("messages".to_owned()));
        } else {
            prop_assert_eq!(request.unwrap().question, with_parts(question));
        }
    }

    #[test]
    fn anthropics_whole_answer(said in said()) {
        let said = Said { logprobs: vec![], ..said };
        let body = anthropic::whole(&head(), &said, &[], Some(USAGE), Map::new()).unwrap();
        let answered = Service::Anthropic.read(body.to_string().as_bytes());
        prop_assert_eq!(answered, Ok(Answered { said, report: report() }));
    }

    #[test]
    fn anthropics_stream_however_it_is_cut(said in said(), lengths in vec(1..50_usize, 1..9)) {
        let said = Said { logprobs: vec![], ..said };
        let mut stream = anthropic::Stream::new(head(), vec![]);
        let mut frames = String::new();
        for piece in said.pieces() {
            frames += &stream.pieces(&[piece]).unwrap();
        }
        frames += &stream.end(said.finish, Some(USAGE), Map::new());
        let answered = read(Service::Anthropic, &frames, &lengths);
        prop_assert_eq!(answered, Ok(Answered { said, report: report() }));
    }
}

/// Where an assistant calls tools, Anthropic has parts.
fn with_parts(mut question: Question) -> Question {
    if let Prompt::Messages(turns) = &mut question.prompt {
        for turn in turns.iter_mut().filter(|turn| !turn.tool_calls.is_empty()) {
            if let Content::Text(text) = &turn.content {
                let text = text.clone();
                turn.content = Content::Parts(vec![Part::Text { text }]);
            }
        }
    }
    question
}

#[test]
fn a_text_to_go_on_from() {
    let question = Question {
        temperature: ONE,
        max_tokens: None,
        ..Question::new(Prompt::Text("Once".to_owned()))
    };
    let sent = Service::Compatible.request(&call(&question)).unwrap();
    assert_eq!(sent.path, "completions");
    let body = sent.body.to_string();
    let request = completions::Request::parse(body.as_bytes(), Defaults::OPENAI).unwrap();
    let most = Question {
        max_tokens: Some(100),
        ..question
    };
    assert_eq!(request.questions, [most]);
}

#[test]
fn pieces_of_a_call_are_put_together() {
    let pieces = [
        Piece::Call {
            id: "call_1".to_owned(),
            name: "look".to_owned(),
        },
        Piece::Arguments("{\"a\"".to_owned()),
        Piece::Arguments(":1}".to_owned()),
    ];
    let mut stream = chat::Stream::new(head(), Style::OpenAi, true, 1);
    let frames: String = pieces
        .iter()
        .map(|piece| stream.pieces(0, std::slice::from_ref(piece)).unwrap())
        .collect();
    assert_eq!(
        Service::Xai.stream().push(frames.as_bytes()).unwrap(),
        pieces
    );
}

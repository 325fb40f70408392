//! Questions and replies as tensors.

use super::*;
use crate::{
    language::{
        Alternative, Content, Finish, Format, Logprob, Message, ONE, Part, Prompt, Question, Tool,
        ToolCall, ToolChoice,
    },
    tensor::count_elements,
};
use serde_json::json;

fn question() -> Question {
    Question {
        temperature: ONE / 2,
        stop: vec!["\n\n".to_owned()],
        ..Question::new(Prompt::Messages(vec![Message::text("user", "Hello")]))
    }
}

fn tool() -> Tool {
    Tool {
        name: "look".to_owned(),
        description: String::new(),
        parameters: json!({ "type": "object" }),
        strict: false,
    }
}

#[test]
fn what_is_written_is_read_back_and_fits_the_description() {
    let picture = Part::Image {
        url: "https://example/a.png".to_owned(),
        detail: None,
    };
    let called = ToolCall {
        id: "call_1".to_owned(),
        name: "look".to_owned(),
        arguments: "{}".to_owned(),
    };
    let rich = Question {
        prompt: Prompt::Messages(vec![
            Message {
                content: Content::Parts(vec![picture]),
                ..Message::text("user", "")
            },
            Message {
                tool_calls: vec![called],
                ..Message::text("assistant", "")
            },
            Message {
                tool_call_id: Some("call_1".to_owned()),
                ..Message::text("tool", "a cat")
            },
        ]),
        max_tokens: None,
        frequency_penalty: -ONE,
        format: Format::JsonSchema(json!({ "type": "object" })),
        tools: vec![tool()],
        tool_choice: ToolChoice::Tool("look".to_owned()),
        parallel_tool_calls: false,
        logprobs: Some(0),
        ..question()
    };
    let text = Question::new(Prompt::Text("Once".to_owned()));
    for question in [question(), rich, text] {
        let tensors = question.to_tensors().unwrap();
        description().check_inputs(&tensors).unwrap();
        assert_eq!(Question::from_tensors(&tensors), Ok(question));
    }
}

#[test]
fn a_reply_is_read_back_and_fits_the_description() {
    let token = Alternative {
        bytes: vec![0xc3],
        logprob: -7,
    };
    let reply = Reply {
        said: Said {
            text: "Hi é".to_owned(),
            tool_calls: vec![],
            logprobs: vec![Logprob {
                chosen: token.clone(),
                top: vec![token],
            }],
            finish: Finish::Length,
        },
        prompt_tokens: vec![1, 2, 3],
        tokens: vec![],
        trace_root: [7; 32],
    };
    let tensors = reply.to_tensors().unwrap();
    count_elements(&tensors).unwrap();
    assert_eq!(Reply::from_tensors(&tensors).unwrap(), reply);
    let names: Vec<_> = tensors.iter().map(|tensor| &tensor.name).collect();
    let described = description().outputs;
    assert!(names.into_iter().eq(described.iter().map(|t| &t.name)));
}

#[test]
fn a_turn_of_text_is_written_as_it_always_was() {
    let written = serde_json::to_string(&Message::text("user", "Hello")).unwrap();
    assert_eq!(written, r#"{"role":"user","content":"Hello"}"#);
}

#[test]
fn what_is_out_of_range_is_named() {
    let refused = |change: &dyn Fn(&mut Question), name: &str| {
        let mut question = question();
        change(&mut question);
        let error = Question::from_tensors(&question.to_tensors().unwrap()).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    };
    refused(&|q| q.max_tokens = Some(-1), "max_tokens");
    refused(&|q| q.temperature = -1, "temperature");
    refused(&|q| q.top_p = ONE + 1, "top_p");
    refused(&|q| q.repetition_penalty = 0, "repetition_penalty");
    refused(&|q| q.presence_penalty = 3 * ONE, "presence_penalty");
    refused(&|q| q.logprobs = Some(21), "logprobs");
    refused(&|q| q.stop = vec![String::new()], "stop");
    refused(&|q| q.tools = vec![tool(), tool()], "tools");
    refused(&|q| q.tool_choice = ToolChoice::Required, "tool_choice");
    let other = ToolChoice::Tool("other".to_owned());
    refused(&|q| q.tool_choice = other.clone(), "tool_choice");
    let mut tensors = question().to_tensors().unwrap();
    let prompt = tensors.iter().position(|t| t.name == "prompt").unwrap();
    tensors[prompt] = bytes("prompt", b"{\"role\":1}");
    assert!(
        Question::from_tensors(&tensors)
            .unwrap_err()
            .to_string()
            .contains("prompt")
    );
    tensors.remove(prompt);
    assert_eq!(
        Question::from_tensors(&tensors),
        Err(LanguageError::Missing("prompt"))
    );
}

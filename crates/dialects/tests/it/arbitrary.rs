//! Questions and answers by chance.

use og_types::language::{
    Alternative, Content, Finish, Format, Logprob, MAX_PENALTY, Message, ONE, Part, Prompt,
    Question, Said, Tool, ToolCall, ToolChoice,
};
use proptest::{collection::vec, prelude::*};
use serde_json::json;

fn alternative() -> impl Strategy<Value = Alternative> {
    (vec(any::<u8>(), 1..5), -(20 * ONE)..=0)
        .prop_map(|(bytes, logprob)| Alternative { bytes, logprob })
}

fn logprobs() -> impl Strategy<Value = Vec<Logprob>> {
    let token = (alternative(), vec(alternative(), 0..3));
    vec(
        token.prop_map(|(chosen, top)| Logprob { chosen, top }),
        0..3,
    )
}

/// Calls, whose arguments are JSON objects.
pub(crate) fn calls(prefix: &'static str) -> impl Strategy<Value = Vec<ToolCall>> {
    let call = ("[a-zA-Z0-9_-]{1,8}", "\\PC{0,8}");
    vec(call, 0..3).prop_map(move |calls| {
        let calls = calls.into_iter().enumerate();
        let calls = calls.map(|(index, (name, text))| ToolCall {
            id: format!("{prefix}{index}"),
            name,
            arguments: json!({ "text": text }).to_string(),
        });
        calls.collect()
    })
}

/// What a model may say.
pub(crate) fn said() -> impl Strategy<Value = Said> {
    let finish = prop_oneof![
        Just(Finish::Stop),
        Just(Finish::Length),
        Just(Finish::ContentFilter)
    ];
    let parts = ("\\PC{0,20}", calls("call_"), logprobs(), finish);
    parts.prop_map(|(text, tool_calls, logprobs, finish)| Said {
        finish: match finish {
            Finish::Stop if !tool_calls.is_empty() => Finish::ToolCalls,
            finish => finish,
        },
        text,
        tool_calls,
        logprobs,
    })
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        "\\PC{1,9}".prop_map(|text| Part::Text { text }),
        "[A-Za-z0-9]{4}".prop_map(|data| Part::Image {
            url: format!("data:image/png;base64,{data}"),
            detail: None,
        }),
    ]
}

/// A system's turn, then turns of a user, of an assistant that calls tools, and the tools' answers.
pub(crate) fn messages() -> impl Strategy<Value = Vec<Message>> {
    let round = (vec(part(), 1..3), "\\PC{1,9}", calls("c"), "\\PC{1,9}");
    let rounds = vec(round, 1..3);
    ("\\PC{1,9}", rounds).prop_map(|(system, rounds)| {
        let mut messages = vec![Message::text("system", &system)];
        for (round, (parts, text, mut calls, answer)) in rounds.into_iter().enumerate() {
            let mut user = Message::text("user", "");
            user.content = Content::Parts(parts);
            let mut assistant = Message::text("assistant", &text);
            for call in &mut calls {
                call.id = format!("{}_{round}", call.id);
            }
            let answers = calls.iter().map(|call| Message {
                tool_call_id: Some(call.id.clone()),
                ..Message::text("tool", &answer)
            });
            let answers: Vec<_> = answers.collect();
            assistant.tool_calls = calls;
            messages.extend([user, assistant]);
            messages.extend(answers);
        }
        messages
    })
}

fn tools() -> impl Strategy<Value = Vec<Tool>> {
    vec(("\\PC{0,9}", any::<bool>()), 0..3).prop_map(|tools| {
        let tools = tools.into_iter().enumerate();
        let tools = tools.map(|(index, (description, strict))| Tool {
            name: format!("tool-{index}"),
            description,
            parameters: json!({"type": "object", "properties": {"b": {"type": "string"}, "a": {}}}),
            strict,
        });
        tools.collect()
    })
}

/// A question that every service but the most limited ones understands.
pub(crate) fn question() -> impl Strategy<Value = Question> {
    let format = prop_oneof![
        Just(Format::Text),
        Just(Format::JsonObject),
        Just(Format::JsonSchema(
            json!({"type": "object", "properties": {}})
        )),
    ];
    let penalties = (-MAX_PENALTY..=MAX_PENALTY, -MAX_PENALTY..=MAX_PENALTY);
    let settings = (
        proptest::option::of(1..=4096_i64),
        0..=2 * ONE,
        1..=ONE,
        penalties,
    );
    let tools = (tools(), 0..4_usize, any::<bool>());
    let ends = (vec("[a-z]{1,4}", 0..4), proptest::option::of(0..=20_i64));
    (messages(), settings, tools, format, ends).prop_map(
        |(messages, settings, (tools, choice, parallel), format, (stop, logprobs))| {
            let (max_tokens, temperature, top_p, (frequency, presence)) = settings;
            let tool_choice = match (tools.first(), choice) {
                (Some(_), 1) => ToolChoice::None,
                (Some(_), 2) => ToolChoice::Required,
                (Some(tool), 3) => ToolChoice::Tool(tool.name.clone()),
                _ => ToolChoice::Auto,
            };
            Question {
                max_tokens,
                temperature,
                top_p,
                frequency_penalty: frequency,
                presence_penalty: presence,
                stop,
                format,
                parallel_tool_calls: parallel || tools.is_empty(),
                tools,
                tool_choice,
                logprobs,
                ..Question::new(Prompt::Messages(messages))
            }
        },
    )
}

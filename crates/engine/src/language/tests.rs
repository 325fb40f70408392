//! Questions with everything that can be asked, to the built-in model with other chat templates, twice: with the fastest
//! kernels and with the plainest ones.

use super::*;
use crate::{BUILT_IN, exact::Model};
use og_kernels::Path;
use og_types::language::{Content, Finish, Message, ONE, Part, Said, Tool, ToolCall, ToolChoice};
use serde_json::{Value, json};

/// A template that writes turns one after another, tools first, and has a mark in a comment.
fn template(mark: &str) -> String {
    format!(
        "{{# {mark} #}}{{% if tools %}}{{{{ tools | tojson }}}}{{% endif %}}{{% for m in messages %}}\
         {{{{ m.role }}}}: {{{{ m.content }}}}\n{{% endfor %}}"
    )
}

fn model(template: Option<String>, settings: RunSettings) -> Arc<LanguageModel> {
    let story = BUILT_IN.iter().find(|model| model.name == "story").unwrap();
    let model = Arc::new(Model::from_bytes(story.file).unwrap());
    let mut assets = model.text().cloned().unwrap();
    assets.chat_template = template.or(assets.chat_template);
    let ready = Arc::new(Ready::new(model, settings.kernels().unwrap()).unwrap());
    Arc::new(LanguageModel::with_assets(ready, assets, settings).unwrap())
}

fn tool(name: &str) -> Tool {
    Tool {
        name: name.to_owned(),
        description: "Tells the weather.".to_owned(),
        parameters: json!({
            "type": "object",
            "properties": {
                "city": { "$ref": "#/$defs/city" },
                "days": { "type": "integer", "minimum": 1, "maximum": 9 },
            },
            "required": ["city", "days"],
            "additionalProperties": false,
            "$defs": { "city": { "enum": ["Paris", "Rome"] } },
        }),
        strict: true,
    }
}

fn chat() -> Question {
    Question {
        max_tokens: Some(120),
        temperature: ONE,
        ..Question::new(Prompt::Messages(vec![Message::text(
            "user",
            "How warm is it?",
        )]))
    }
}

fn asking(choice: ToolChoice) -> Question {
    Question {
        tools: vec![tool("weather"), tool("forecast")],
        tool_choice: choice,
        ..chat()
    }
}

/// The answer, which is the same however it is computed, and made of its pieces.
async fn answer(mark: &str, question: &Question) -> Result<Reply, RunError> {
    let plain = RunSettings {
        threads: Some(1),
        path: Some(Path::Scalar),
    };
    let inputs = question.to_tensors().unwrap();
    let run = model(Some(template(mark)), plain).run(inputs.clone(), 7, Pieces::UNWANTED);
    let again = run.await;
    let (pieces, mut reader) = Pieces::channel();
    let run = model(Some(template(mark)), RunSettings::default()).run(inputs, 7, pieces);
    let read = async {
        let mut sum = Said::empty();
        while let Some(piece) = reader.recv().await {
            sum.add(&piece).unwrap();
        }
        sum
    };
    let (outputs, sum) = tokio::join!(run, read);
    assert_eq!(outputs, again);
    let reply = Reply::from_tensors(&outputs?).unwrap();
    assert_eq!(sum.check(&reply.said), Ok(()));
    Ok(reply)
}

async fn refusal(mark: &str, question: &Question) -> String {
    match answer(mark, question).await {
        Err(RunError::Refused(refusal)) => refusal.to_string(),
        other => panic!("{other:?}"),
    }
}

fn check_arguments(call: &ToolCall) {
    let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
    assert!(["Paris", "Rome"].contains(&arguments["city"].as_str().unwrap()));
    assert!((1..=9).contains(&arguments["days"].as_i64().unwrap()));
    assert_eq!(arguments.as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn a_call_that_is_required_is_made_as_each_family_makes_it() {
    for (mark, id) in [
        ("<tool_call>", "call_0"),
        ("[TOOL_CALLS]", "000000000"),
        ("<|python_tag|>", "call_0"),
    ] {
        let required = Question {
            parallel_tool_calls: false,
            ..asking(ToolChoice::Required)
        };
        let said = answer(mark, &required).await.unwrap().said;
        assert_eq!(
            (said.finish, said.text.as_str()),
            (Finish::ToolCalls, ""),
            "{mark}"
        );
        let [call] = &said.tool_calls[..] else {
            panic!("{mark}: {said:?}");
        };
        assert_eq!(call.id, id);
        check_arguments(call);
        let named = asking(ToolChoice::Tool("forecast".to_owned()));
        let said = answer(mark, &named).await.unwrap().said;
        let [call] = &said.tool_calls[..] else {
            panic!("{mark}: {said:?}");
        };
        assert_eq!(call.name, "forecast");
        check_arguments(call);
    }
}

/// Whether an answer to the question may be this text.
fn may_say(model: &LanguageModel, question: &Question, text: &str) -> bool {
    let form = model.template.as_ref().unwrap().calls;
    let source = constraint(question, form, &model.tokenizer).unwrap();
    let grammars = model.grammars();
    let compiled = grammars.as_ref().unwrap().compile(&source.unwrap());
    let mut grammar = compiled.unwrap();
    let tokens = model.tokenizer.encode(text, false).unwrap();
    tokens.iter().all(|token| grammar.accept(*token).is_ok()) && grammar.is_complete()
}

#[test]
fn a_call_that_the_model_chooses_to_make_is_held_to_the_schema_of_a_strict_tool() {
    let mut question = asking(ToolChoice::Auto);
    question.tools[1].strict = false;
    let call = |name: &str, arguments: &str| {
        format!("{{\"name\": \"{name}\", \"arguments\": {arguments}}}")
    };
    let good = call("weather", r#"{"city": "Rome", "days": 3}"#);
    let free = call("forecast", r#"{"planet": "Mars"}"#);
    let wrong = [
        call("weather", r#"{"city": "Mars", "days": 3}"#),
        call("weather", r#"{"city": "Rome"}"#),
        call("joke", "{}"),
        "what I like".to_owned(),
    ];
    for (mark, wrap) in [
        (
            "<tool_call>",
            (|call| format!("<tool_call>\n{call}\n</tool_call>")) as fn(&str) -> String,
        ),
        ("[TOOL_CALLS]", |call| format!("[TOOL_CALLS][{call}]")),
        ("<|python_tag|>", |call| {
            format!("<|python_tag|>{call}").replace("arguments", "parameters")
        }),
    ] {
        let model = model(Some(template(mark)), RunSettings::default());
        let may = |text: &str| may_say(&model, &question, text);
        for text in ["It is warm.\n", "2 < 3, {\"a\": [1]} <tool", &mark[..5]] {
            assert!(may(text), "{mark}: {text}");
        }
        for call in [&good, &free] {
            assert!(may(&wrap(call)), "{mark}: {call}");
            assert!(may(&format!("I shall look.\n{}", wrap(call))), "{mark}");
        }
        for call in &wrong {
            assert!(!may(&wrap(call)), "{mark}: {call}");
            assert!(!may(&format!("I shall look.\n{}", wrap(call))), "{mark}");
        }
    }
}

#[test]
fn calls_that_the_model_chooses_to_make_may_be_several_if_that_is_wanted() {
    let call = r#"{"name": "weather", "arguments": {"city": "Rome", "days": 3}}"#;
    let bare = call.replace("arguments", "parameters");
    let question = asking(ToolChoice::Auto);
    let one = Question {
        parallel_tool_calls: false,
        ..question.clone()
    };
    for (mark, single, double) in [
        (
            "<tool_call>",
            format!("<tool_call>\n{call}\n</tool_call>"),
            format!("<tool_call>\n{call}\n</tool_call>\n<tool_call>\n{call}\n</tool_call> Done."),
        ),
        (
            "[TOOL_CALLS]",
            format!("[TOOL_CALLS][{call}]"),
            format!("[TOOL_CALLS][{call}, {call}]"),
        ),
        ("<|python_tag|>", bare.clone(), format!("{bare}; {bare}")),
    ] {
        let model = model(Some(template(mark)), RunSettings::default());
        assert!(may_say(&model, &question, &single), "{mark}");
        assert!(may_say(&model, &one, &single), "{mark}");
        assert!(may_say(&model, &question, &double), "{mark}");
        assert!(!may_say(&model, &one, &double), "{mark}");
    }
}

#[tokio::test]
async fn tools_reach_the_prompt_unless_none_may_be_called() {
    let free = answer("<tool_call>", &asking(ToolChoice::Auto))
        .await
        .unwrap();
    let none = answer("<tool_call>", &asking(ToolChoice::None))
        .await
        .unwrap();
    let without = answer("<tool_call>", &chat()).await.unwrap();
    assert_eq!(none, without);
    assert!(free.prompt_tokens.len() > none.prompt_tokens.len());
    assert_eq!(free.said.tool_calls, []);
    // A conversation that went on: the next call has the next number.
    let called = ToolCall {
        id: "call_0".to_owned(),
        name: "weather".to_owned(),
        arguments: "{}".to_owned(),
    };
    let turn = Message {
        tool_calls: vec![called],
        ..Message::text("assistant", "")
    };
    let later = Question {
        prompt: Prompt::Messages(vec![turn]),
        parallel_tool_calls: false,
        ..asking(ToolChoice::Required)
    };
    let said = answer("<tool_call>", &later).await.unwrap().said;
    assert_eq!(said.tool_calls[0].id, "call_1");
}

#[tokio::test]
async fn an_answer_has_its_format() {
    let schema = tool("").parameters;
    let question = Question {
        format: Format::JsonSchema(schema),
        ..chat()
    };
    let said = answer("", &question).await.unwrap().said;
    assert_eq!((said.finish, said.tool_calls.len()), (Finish::Stop, 0));
    check_arguments(&ToolCall {
        arguments: said.text,
        ..ToolCall::default()
    });
    let question = Question {
        format: Format::JsonObject,
        ..chat()
    };
    let said = answer("", &question).await.unwrap().said;
    assert!(said.text.trim_start().starts_with('{'), "{said:?}");
    if said.finish == Finish::Stop {
        serde_json::from_str::<serde_json::Map<_, _>>(&said.text).unwrap();
    }
}

#[tokio::test]
async fn penalties_change_an_answer_and_probabilities_tell_its_tokens() {
    let plain = Question {
        max_tokens: Some(120),
        logprobs: Some(3),
        ..Question::new(Prompt::Text("Once upon a time".to_owned()))
    };
    let penalised = |penalty| Question {
        frequency_penalty: penalty,
        presence_penalty: penalty,
        ..plain.clone()
    };
    let rewarded = answer("", &penalised(-2 * ONE)).await.unwrap();
    let penalised = answer("", &penalised(2 * ONE)).await.unwrap();
    let plain = answer("", &plain).await.unwrap();
    let most = |reply: &Reply| {
        let times = |token| reply.tokens.iter().filter(|other| *other == token).count();
        reply.tokens.iter().map(times).max()
    };
    let [less, plainly, more] = [&penalised, &plain, &rewarded].map(most);
    assert!(
        less < plainly && plainly < more,
        "{less:?} {plainly:?} {more:?}"
    );
    for reply in [plain, penalised, rewarded] {
        let Reply { said, tokens, .. } = reply;
        let ended = usize::from(said.finish == Finish::Stop);
        assert_eq!(said.logprobs.len(), tokens.len() - ended);
        let bytes = said.logprobs.iter().flat_map(|token| &token.chosen.bytes);
        let bytes: Vec<u8> = bytes.copied().collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), said.text);
        for token in &said.logprobs {
            assert_eq!(token.top.len(), 3);
            assert!(token.top.is_sorted_by(|a, b| a.logprob >= b.logprob));
            assert!(token.chosen.logprob <= token.top[0].logprob);
        }
    }
}

#[tokio::test]
async fn an_answer_without_a_limit_ends() {
    let question = Question {
        max_tokens: None,
        ..chat()
    };
    let reply = answer("", &question).await.unwrap();
    assert!(reply.tokens.len() <= UNLIMITED_ANSWER_TOKENS);
    assert!(!reply.said.text.is_empty());
}

#[tokio::test]
async fn what_cannot_be_honoured_is_refused_by_name() {
    let unknown = refusal("", &asking(ToolChoice::Auto)).await;
    assert!(
        unknown.starts_with("'tools'") && unknown.contains("chat template"),
        "{unknown}"
    );
    let text = Question {
        prompt: Prompt::Text("Once".to_owned()),
        ..asking(ToolChoice::Auto)
    };
    assert!(refusal("<tool_call>", &text).await.starts_with("'tools'"));
    let both = Question {
        format: Format::JsonObject,
        ..asking(ToolChoice::Auto)
    };
    assert!(refusal("<tool_call>", &both).await.starts_with("'format'"));
    let schema = Question {
        format: Format::JsonSchema(json!({ "$ref": "https://example/x" })),
        ..chat()
    };
    assert!(refusal("", &schema).await.starts_with("'format'"));
    let picture = Part::Image {
        url: "https://example/a.png".to_owned(),
        detail: None,
    };
    let message = Message {
        content: Content::Parts(vec![picture]),
        ..Message::text("user", "")
    };
    let seen = Question::new(Prompt::Messages(vec![message]));
    assert!(
        refusal("", &seen)
            .await
            .starts_with("'prompt[0].content[0]'")
    );
}

//! Calls in texts of every form, however the text is cut; what is no call is text, to the letter.

use super::*;
use og_types::language::{Said, ToolCall};
use proptest::prelude::*;

/// What is read from a text in portions of so many characters.
fn read(form: CallForm, several: bool, text: &str, portion: usize) -> Said {
    let names = vec!["look".to_owned(), "go".to_owned()];
    let mut reader = CallReader::new(form, names, several, 3);
    let (mut pieces, mut said) = (vec![], Said::empty());
    let characters: Vec<char> = text.chars().collect();
    for portion in characters.chunks(portion) {
        reader.push(&portion.iter().collect::<String>(), &mut pieces);
    }
    reader.finish(&mut pieces);
    for piece in &pieces {
        said.add(piece).unwrap();
    }
    assert_eq!(reader.has_called(), !said.tool_calls.is_empty());
    said
}

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    }
}

fn check(form: CallForm, text: &str, said: &str, calls: &[ToolCall]) {
    for portion in [1, 2, 3, 7, 1000] {
        let found = read(form, true, text, portion);
        assert_eq!(
            (found.text.as_str(), &found.tool_calls[..]),
            (said, calls),
            "{text:?}"
        );
    }
}

const LOOK: &str = r#"{"name": "look", "arguments": {"at": [1, "</a>"], "b": "é"}}"#;
const LOOKED: &str = r#"{"at":[1,"</a>"],"b":"é"}"#;

#[test]
fn templates_tell_the_form() {
    let forms = [
        ("{{ '<tool_call>' }}", Some(CallForm::Tagged)),
        ("{{ '[TOOL_CALLS]' }}", Some(CallForm::Listed)),
        (
            "\"parameters\": dictionary of argument name",
            Some(CallForm::Bare),
        ),
        ("<tool_call><function=", None),
        ("[TOOL_CALLS][ARGS]", None),
        ("{{ messages }}", None),
    ];
    for (template, form) in forms {
        assert_eq!(CallForm::of(template), form, "{template}");
    }
}

#[test]
fn tagged_calls_are_found_behind_text() {
    let tagged = |call: &str| format!("<tool_call>\n{call}\n</tool_call>");
    let form = CallForm::Tagged;
    let first = [call("call_3", "look", LOOKED)];
    check(form, &tagged(LOOK), "", &first);
    check(
        form,
        &format!("Let me see.\n\n{}\n", tagged(LOOK)),
        "Let me see.",
        &first,
    );
    let both = format!("{}\n{}", tagged(LOOK), tagged(r#"{"name":"go"}"#));
    let calls = [first[0].clone(), call("call_4", "go", "{}")];
    check(form, &both, "", &calls);
    assert_eq!(read(form, false, &both, 5).tool_calls, first);
    // An answer that ends without the closing mark.
    check(form, &format!("<tool_call>{LOOK}"), "", &first);
}

#[test]
fn listed_calls_are_found_at_the_end() {
    let text = format!(
        "[TOOL_CALLS] [{LOOK}, {}]",
        r#"{"name":"go","arguments":"{}"}"#
    );
    let calls = [
        call("000000003", "look", LOOKED),
        call("000000004", "go", "{}"),
    ];
    check(CallForm::Listed, &text, "", &calls);
    check(CallForm::Listed, &format!("Yes. {text}"), "Yes.", &calls);
}

#[test]
fn bare_calls_are_whole_answers() {
    let text = r#" {"name": "look", "parameters": {"at": 1}}; {"name": "go", "parameters": {}}"#;
    let calls = [
        call("call_3", "look", r#"{"at":1}"#),
        call("call_4", "go", "{}"),
    ];
    check(CallForm::Bare, text, "", &calls);
    check(
        CallForm::Bare,
        &format!("<|python_tag|>{}", text.trim()),
        "",
        &calls,
    );
    check(
        CallForm::Bare,
        &format!("See:{text}"),
        &format!("See:{text}"),
        &[],
    );
}

#[test]
fn what_is_no_call_is_text() {
    for text in [
        "<tool_call>\nno JSON\n</tool_call> and more",
        r#"<tool_call>{"name": "other", "arguments": {}}</tool_call>"#,
        r#"<tool_call>{"name": "look", "arguments": [1]}</tool_call>"#,
        "<tool_call>{\"name\": \"look\", \"arg",
        "a < b <tool_cal",
        "  ",
        "\n text \n",
    ] {
        check(CallForm::Tagged, text, text, &[]);
    }
    for text in ["[TOOL_CALLS] none", "[TOOL_CALLS][]", "[TOOL_CALLS]{}"] {
        check(CallForm::Listed, text, text, &[]);
    }
    for text in ["{\"a\": 1}", "{", "{} {\"name\": \"look\"}"] {
        check(CallForm::Bare, text, text, &[]);
    }
}

proptest! {
    #[test]
    fn the_portions_do_not_matter(
        parts in prop::collection::vec(
            prop_oneof![
                Just("<tool_call>".to_owned()),
                Just("</tool_call>".to_owned()),
                Just("[TOOL_CALLS]".to_owned()),
                Just("<tool_".to_owned()),
                Just(LOOK.to_owned()),
                Just("\n".to_owned()),
                "[ a-z{}é;]{0,6}",
            ],
            0..8,
        ),
        form in prop_oneof![Just(CallForm::Tagged), Just(CallForm::Listed), Just(CallForm::Bare)],
        portion in 1_usize..9,
    ) {
        let text = parts.concat();
        prop_assert_eq!(read(form, true, &text, portion), read(form, true, &text, usize::MAX));
    }
}

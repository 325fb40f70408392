//! Answers are kept inside their grammars; what is not supported is named.

use super::*;
use crate::tokenizer::tests::{golden, tokenizer, vocabulary};
use serde_json::json;
use std::sync::LazyLock;

static BYTES: LazyLock<(Arc<Tokenizer>, GrammarFactory)> = LazyLock::new(|| {
    let tokenizer = tokenizer("bytes-qwen2");
    let end = tokenizer.id("<|im_end|>").unwrap();
    let factory =
        GrammarFactory::new(&tokenizer, &[end, tokenizer.id("<|endoftext|>").unwrap()]).unwrap();
    (tokenizer, factory)
});

/// Whether a grammar takes a text, token by token, each allowed by the mask before it.
fn takes(source: &GrammarSource, text: &str) -> bool {
    let (tokenizer, factory) = &*BYTES;
    let mut grammar = factory.compile(source).unwrap();
    for id in tokenizer.encode(text, false).unwrap() {
        let allowed = !grammar.is_finished() && grammar.mask().unwrap().allows(id);
        assert_eq!(grammar.clone().accept(id).is_ok(), allowed, "{text}");
        if !allowed {
            return false;
        }
        grammar.accept(id).unwrap();
    }
    let end = tokenizer.id("<|im_end|>").unwrap();
    let complete = grammar.is_complete();
    assert_eq!(grammar.mask().unwrap().allows(end), complete, "{text}");
    complete
}

#[test]
fn schemas_objects_expressions_and_grammars() {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["name"],
        "properties": { "name": { "type": "string", "maxLength": 8 }, "age": { "type": "integer", "minimum": 0 } },
    });
    let schema = GrammarSource::JsonSchema(schema);
    assert!(takes(&schema, r#"{"name": "Ann", "age": 30}"#));
    assert!(takes(&schema, r#"{"name":"日本é"}"#));
    for bad in [
        r#"{"age": 30}"#,
        r#"{"name": "Ann", "age": -1}"#,
        r#"{"name": "far too long"}"#,
        "[]",
        "",
        r#"{"name": "Ann""#,
    ] {
        assert!(!takes(&schema, bad), "{bad}");
    }
    assert!(takes(
        &GrammarSource::JsonObject,
        r#"{"a": [1, true, null, {"b": "<|im_end|>"}]}"#
    ));
    assert!(!takes(&GrammarSource::JsonObject, "[1]"));
    let regex = GrammarSource::Regex("(yes|no), [0-9]{2,3}".to_owned());
    assert!(
        takes(&regex, "yes, 42")
            && takes(&regex, "no, 123")
            && !takes(&regex, "yes, 1")
            && !takes(&regex, "maybe")
    );
    let lark = GrammarSource::Lark("start: NUMBER (\"+\" NUMBER)*\nNUMBER: /[0-9]+/\n".to_owned());
    assert!(takes(&lark, "1+22+333") && !takes(&lark, "1+"));
    let recursive = json!({ "$defs": { "t": { "type": "object", "properties": { "c": { "$ref": "#/$defs/t" } },
        "additionalProperties": false } }, "$ref": "#/$defs/t" });
    assert!(takes(
        &GrammarSource::JsonSchema(recursive),
        r#"{"c": {"c": {}}}"#
    ));
}

#[test]
fn special_tokens_are_never_text_and_ends_end() {
    let (tokenizer, factory) = &*BYTES;
    let mut grammar = factory
        .compile(&GrammarSource::Regex(".*".to_owned()))
        .unwrap();
    let mask = grammar.mask().unwrap();
    let id = |token: &str| tokenizer.id(token).unwrap();
    assert!(!mask.allows(id("<|im_start|>")));
    assert!(
        mask.allows(id("<|im_end|>")) && mask.allows(id("<|endoftext|>")) && mask.allows(id("a"))
    );
    assert!(!mask.allows(1_000_000));
    assert_eq!(
        grammar.accept(id("<|im_start|>")),
        Err(GrammarError::NotAllowed(id("<|im_start|>")))
    );
    grammar.accept(id("<|im_end|>")).unwrap();
    assert!(grammar.is_finished());
    assert_eq!(
        grammar.accept(id("a")),
        Err(GrammarError::NotAllowed(id("a")))
    );
    let mask = grammar.mask().unwrap();
    assert!(!mask.allows(id("a")) && mask.allows(id("<|im_end|>")));
}

#[test]
fn what_is_not_supported_is_named() {
    let (tokenizer, factory) = &*BYTES;
    let error = |source: GrammarSource| factory.compile(&source).unwrap_err().to_string();
    let schema = |schema: Value| error(GrammarSource::JsonSchema(schema));
    assert!(schema(json!({ "type": "array", "uniqueItems": true })).contains("uniqueItems"));
    assert!(schema(json!({ "$ref": "https://example.org/x" })).contains("example.org"));
    assert!(schema(json!({ "description": "a".repeat(100_000) })).contains("too large"));
    let mut deep = json!({});
    for _ in 0..60 {
        deep = json!({ "items": deep });
    }
    assert!(schema(deep).contains("too large"));
    assert!(error(GrammarSource::Regex("(?=a)".to_owned())).contains("cannot be used"));
    assert!(error(GrammarSource::Lark("start: missing".to_owned())).contains("missing"));
    assert!(GrammarFactory::new(tokenizer, &[]).is_err());
    assert!(
        GrammarFactory::new(tokenizer, &[9999])
            .unwrap_err()
            .to_string()
            .contains("9999")
    );
}

#[test]
fn sentencepiece_vocabularies_and_other_grammars_at_once() {
    let json = vocabulary(&golden("pieces-llama"))
        .to_tokenizer_json()
        .unwrap();
    let tokenizer = Tokenizer::from_json(&json).unwrap();
    let factory = GrammarFactory::new(&tokenizer, &[2]).unwrap();
    let mut grammar = factory
        .compile(&GrammarSource::Regex(" fox 👍".to_owned()))
        .unwrap();
    for id in tokenizer.encode("fox 👍", false).unwrap() {
        assert!(grammar.mask().unwrap().allows(id));
        grammar.accept(id).unwrap();
    }
    assert!(grammar.is_complete());
}

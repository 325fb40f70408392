//! Bytes from strangers: none of them may do more than be refused.

use crate::ohttp::key;
use og_opengradient::{
    GatewayIdentity,
    canonical::{chat_request, completion_request},
    ohttp::{BillingFilter, InnerError, KeyConfig, question, seal_request, tee_id, wants_chunks},
};
use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Map, Value, json};

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| Map::from_iter(members).into()),
        ]
    })
}

proptest! {
    #[test]
    fn canonical_bytes_are_the_same_json_and_their_own_canonical_form(tools in json_value()) {
        let tools = json!([tools]);
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": tools});
        let canonical = chat_request(body.to_string().as_bytes()).expect("a request");
        prop_assert!(canonical.is_ascii());
        let read: Value = serde_json::from_slice(&canonical).expect("JSON");
        prop_assert_eq!(&read["tools"], &tools);
        prop_assert_eq!(chat_request(&canonical), Ok(canonical));
    }

    #[test]
    fn any_bytes_are_a_request_or_refused(bytes: Vec<u8>, text: String) {
        for body in [bytes.as_slice(), text.as_bytes()] {
            let _ = (chat_request(body), completion_request(body));
            let _ = (GatewayIdentity::from_bytes(body).is_ok(), KeyConfig::from_bytes(body));
        }
    }

    #[test]
    fn any_sealed_bytes_are_a_question_or_refused(bytes: Vec<u8>, body in json_value()) {
        let _ = (question(&bytes, true), tee_id(&bytes));
        if let Ok(read) = question(body.to_string().as_bytes(), true) {
            let read: Value = serde_json::from_slice(&read).expect("JSON");
            prop_assert_eq!(&read["stream"], &Value::Bool(true));
        }
    }

    #[test]
    fn any_bytes_behind_a_header_are_refused(bytes: Vec<u8>) {
        let sealed = [&[1, 0, 0x20, 0, 1, 0, 3], bytes.as_slice()].concat();
        prop_assert!(key().open(&sealed).is_err());
    }

    #[test]
    fn any_stream_is_refused_and_a_filter_never_adds_to_it(parts: Vec<Vec<u8>>) {
        let mut random = StdRng::seed_from_u64(1);
        let (_, opener) = seal_request(&key().config(), b"", &mut random).expect("sealed");
        let mut opener = opener.open_chunks();
        let pushed: Result<Vec<_>, _> = parts.iter().map(|part| opener.push(part)).collect();
        prop_assert!(pushed.is_err() || opener.finish().is_err());
        let mut filter = BillingFilter::default();
        let passed: Vec<_> = parts.iter().map_while(|part| filter.push(part).ok()).collect();
        prop_assert!(passed.concat().len() <= parts.concat().len());
    }
}

#[test]
fn what_the_fuzzer_begins_with_is_what_it_is_called() {
    macro_rules! seed {
        ($name:literal) => {
            include_bytes!(concat!("../../../../fuzz/corpus/sealed/", $name))
                .split_first()
                .expect("a byte before")
                .1
        };
    }
    let accept = seed!("accept");
    assert!(wants_chunks(None, accept.get(..accept.len() / 2)));
    assert!(wants_chunks(seed!("stream").get(..4), None));
    assert!(tee_id(seed!("tee_id")).is_some());
    assert!(question(seed!("question"), false).is_ok());
    let read = question(seed!("question_chunked_with_labels"), true).expect("a question");
    assert!(!String::from_utf8_lossy(&read).contains("metadata"));
    assert_eq!(
        question(seed!("web_search"), false),
        Err(InnerError::WebSearch)
    );
}

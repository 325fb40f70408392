//! Sealed requests and answers, beside the vectors and between both sides.

use crate::vectors::{array, bytes, text};
use og_opengradient::ohttp::{
    BillingFilter, InnerError, KeyConfig, MAX_CHUNK_BYTES, MAX_REQUEST_BYTES, OVERHEAD_BYTES,
    OhttpError, OhttpKey, question, seal_request, tee_id, wants_chunks,
};
use rand::{SeedableRng as _, rngs::StdRng};

const NONCE: [u8; 32] = [9; 32];

pub(crate) fn key() -> OhttpKey {
    OhttpKey::from_private_key(&array("/ohttp/recipient_sk"))
}

fn random() -> StdRng {
    StdRng::seed_from_u64(1)
}

/// A billing frame with this content, as published gateways put it before the last chunk.
pub(crate) fn billing(content: &[u8]) -> Vec<u8> {
    let marker = b"\n--opengradient-ohttp-billing-v1--\n";
    let length = u32::try_from(content.len()).expect("short").to_be_bytes();
    [marker.as_slice(), &length, content].concat()
}

#[test]
fn a_request_of_the_published_client_opens_and_its_answers_are_sealed_as_there() {
    let key = key();
    assert_eq!(
        key.config().public_key.as_slice(),
        bytes("/ohttp/recipient_pk")
    );
    let (request, responder) = key
        .open(&bytes("/ohttp/request_wire_hex"))
        .expect("a request");
    assert_eq!(
        str::from_utf8(&request),
        Ok(text("/ohttp/request_plaintext"))
    );
    let expected = bytes("/ohttp/single_response_hex");
    let sealed = responder.seal(NONCE, br#"{"ok":1}"#);
    assert_eq!(sealed, Ok(expected));
}

#[test]
fn chunks_are_sealed_as_the_published_gateway_seals_them() {
    let (_, responder) = key()
        .open(&bytes("/ohttp/request_wire_hex"))
        .expect("a request");
    let (mut stream, mut sealer) = responder.seal_chunks(NONCE).expect("a stream");
    stream.extend(sealer.seal(b"data: a\n\n").expect("a chunk"));
    stream.extend(sealer.finish(b"data: [DONE]\n\n").expect("a chunk"));
    assert_eq!(stream, bytes("/ohttp/chunked_response_hex"));
}

#[test]
fn both_sides_understand_each_other() {
    let key = key();
    let (sealed, opener) = seal_request(&key.config(), b"question", &mut random()).expect("sealed");
    assert_eq!(sealed.len(), b"question".len() + OVERHEAD_BYTES);
    let (request, responder) = key.open(&sealed).expect("a request");
    assert_eq!(request, b"question");
    let answer = responder.seal(NONCE, b"answer").expect("sealed");
    assert_eq!(opener.open(&answer), Ok(b"answer".to_vec()));
}

#[test]
fn chunks_arrive_however_the_bytes_are_cut() {
    let chunks: [&[u8]; 4] = [b"a", &[7; 63], &[8; 70_000], b"d"];
    for step in [1, 2, 31, 32, 33, 4_096, usize::MAX] {
        let (sealed, opener) = seal_request(&key().config(), b"", &mut random()).expect("sealed");
        let (_, responder) = key().open(&sealed).expect("a request");
        let (mut stream, mut sealer) = responder.seal_chunks(NONCE).expect("a stream");
        for chunk in chunks {
            stream.extend(sealer.seal(chunk).expect("a chunk"));
            // An empty chunk would be read as the last.
            assert_eq!(sealer.seal(b""), Ok(vec![]));
        }
        stream.extend(sealer.finish(b"").expect("the end"));
        let mut opener = opener.open_chunks();
        let mut opened = Vec::new();
        for bytes in stream.chunks(step) {
            opened.extend(opener.push(bytes).expect("chunks"));
        }
        assert_eq!(opened, chunks);
        assert_eq!(opener.finish(), Ok(vec![]));
    }
}

#[test]
fn a_stream_that_was_cut_short_or_changed_is_refused() {
    let whole = {
        let (sealed, _) = seal_request(&key().config(), b"", &mut random()).expect("sealed");
        let (_, responder) = key().open(&sealed).expect("a request");
        let (mut stream, mut sealer) = responder.seal_chunks(NONCE).expect("a stream");
        stream.extend(sealer.seal(b"one").expect("a chunk"));
        stream.extend(sealer.finish(b"two").expect("the end"));
        stream
    };
    // The same chance gives the same opener.
    let read = |stream: &[u8]| {
        let (_, opener) = seal_request(&key().config(), b"", &mut random()).expect("sealed");
        let mut opener = opener.open_chunks();
        let mut opened = opener.push(stream)?;
        opened.push(opener.finish()?);
        Ok::<_, OhttpError>(opened.concat())
    };
    assert_eq!(read(&whole), Ok(b"onetwo".to_vec()));
    for length in 0..whole.len() {
        assert!(read(&whole[..length]).is_err(), "{length}");
    }
    for index in 0..whole.len() {
        let mut changed = whole.clone();
        changed[index] ^= 1;
        assert!(read(&changed).is_err(), "{index}");
    }
}

#[test]
fn requests_for_others_and_changed_ones_do_not_open() {
    let key = key();
    let wire = bytes("/ohttp/request_wire_hex");
    for index in 0..wire.len() {
        let mut changed = wire.clone();
        changed[index] ^= 1;
        let expected = if index < 7 {
            OhttpError::Config
        } else {
            OhttpError::Opening
        };
        assert_eq!(key.open(&changed).err(), Some(expected), "{index}");
    }
    for length in 0..wire.len() {
        assert!(key.open(&wire[..length]).is_err());
    }
    // A point of low order would make the secret known to everybody.
    let low_order = [&wire[..7], &[0; 32], &wire[39..]].concat();
    assert_eq!(key.open(&low_order).err(), Some(OhttpError::Opening));
    assert!(seal_request(&KeyConfig::new([0; 32]), b"x", &mut random()).is_err());
    assert_eq!(
        key.open(&vec![1; MAX_REQUEST_BYTES + 1]).err(),
        Some(OhttpError::Malformed)
    );
}

#[test]
fn a_chunk_that_would_fill_memory_is_refused() {
    let (_, opener) = seal_request(&key().config(), b"", &mut random()).expect("sealed");
    let mut opener = opener.open_chunks();
    let length = u32::try_from(MAX_CHUNK_BYTES + 1).expect("short") | 0x8000_0000;
    let stream = [NONCE.as_slice(), &length.to_be_bytes()].concat();
    assert_eq!(opener.push(&stream), Err(OhttpError::Malformed));
}

#[test]
fn a_relay_takes_out_billing_frames_and_nothing_else() {
    let stream = bytes("/ohttp/chunked_response_hex");
    let end = stream.len() - (1 + 14 + 16);
    for content in [&b"{\"cost_opg\": \"1\"}"[..], b"", &[0; 4096]] {
        let billed = [&stream[..end], &billing(content), &stream[end..]].concat();
        for step in [1, 3, 40, usize::MAX] {
            let mut filter = BillingFilter::default();
            let passed: Result<Vec<_>, _> =
                billed.chunks(step).map(|part| filter.push(part)).collect();
            assert_eq!(passed.map(|parts| parts.concat()).as_ref(), Ok(&stream));
            let mut filter = BillingFilter::default();
            let passed: Result<Vec<_>, _> =
                stream.chunks(step).map(|part| filter.push(part)).collect();
            assert_eq!(passed.map(|parts| parts.concat()).as_ref(), Ok(&stream));
        }
    }
}

#[test]
fn a_relay_refuses_frames_that_no_gateway_sends() {
    for frame in [&b"\n-x"[..], b"\x01", b"\x10", &billing(&[0; 4097])] {
        let mut filter = BillingFilter::default();
        assert_eq!(filter.push(&NONCE), Ok(NONCE.to_vec()));
        assert_eq!(filter.push(frame), Err(OhttpError::Malformed), "{frame:?}");
    }
}

#[test]
fn what_was_sealed_is_a_conversation_without_labels() {
    let inner = br#"{"model":"m","user":"me","metadata":{"a":1},"request_id":"1","top_p":1E0,"stream":false,"model":"n"}"#;
    let read = question(inner, true).expect("a question");
    // Numbers stay as they were written.
    let expected = r#"{"model":"n","stream":true,"top_p":1E0}"#;
    assert_eq!(str::from_utf8(&read), Ok(expected));
    for (inner, expected) in [
        (
            r#"{"endpoint":"web\u005fsearch","query":"q"}"#,
            InnerError::WebSearch,
        ),
        (r#"{"endpoint":"images"}"#, InnerError::Endpoint),
        (r#"{"endpoint":null}"#, InnerError::Endpoint),
    ] {
        assert_eq!(question(inner.as_bytes(), false), Err(expected));
    }
    for inner in ["[]", "", "{", "{\"a\":}", "{} {}", "\u{0}"] {
        let error = question(inner.as_bytes(), false).expect_err("no object");
        assert!(matches!(error, InnerError::Json(_)), "{error}");
    }
}

#[test]
fn headers_name_a_gateway_and_the_form_of_an_answer() {
    let digits = "ab".repeat(32);
    let name = Some([0xab; 32].into());
    assert_eq!(tee_id(digits.as_bytes()), name);
    assert_eq!(
        tee_id(format!(" 0x{} ", digits.to_uppercase()).as_bytes()),
        name
    );
    for wrong in ["", "0x", &digits[1..], &format!("{digits}0"), "\u{e9}"] {
        assert_eq!(tee_id(wrong.as_bytes()), None, "{wrong}");
    }
    let chunked: Option<&[u8]> = Some(b"message/ohttp-chunked-res");
    assert!(wants_chunks(Some(b"True"), None));
    assert!(wants_chunks(Some(b"false"), chunked));
    assert!(!wants_chunks(Some(b"1"), Some(b"message/ohttp-res")));
    assert!(!wants_chunks(None, None));
}

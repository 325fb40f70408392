//! What stands around and inside a sealed request: headers that relays and gateways read, and JSON that a gateway opens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_opengradient::ohttp::{OhttpKey, question, seal_request, tee_id, wants_chunks};
use rand::{SeedableRng as _, rngs::StdRng};

fuzz_target!(|input: &[u8]| {
    let Some((chunked, bytes)) = input.split_first() else {
        return;
    };
    let chunked = chunked & 1 == 1;
    let (one, other) = bytes.split_at(bytes.len() / 2);
    if wants_chunks(Some(one), Some(other)) {
        assert!(wants_chunks(Some(one), None) || wants_chunks(None, Some(other)));
    }
    if let Some(name) = tee_id(bytes) {
        assert_eq!(tee_id(name.to_string().as_bytes()), Some(name));
    }

    let key = OhttpKey::from_private_key(&[1; 32]);
    let sealed = seal_request(&key.config(), bytes, &mut StdRng::seed_from_u64(1));
    let (sealed, _) = sealed.expect("sealed");
    let (inner, _) = key.open(&sealed).expect("what was sealed for the key opens");
    assert_eq!(inner, bytes);
    if let Ok(read) = question(&inner, chunked) {
        // What is a question stays one, and the same.
        assert_eq!(question(&read, chunked), Ok(read));
    }
});

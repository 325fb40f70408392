//! What OpenGradient's clients, relays and gateways send each other: requests whose bytes are signed,
//! sealed requests and answers, files of keys.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_opengradient::{
    GatewayIdentity, canonical,
    ohttp::{BillingFilter, KeyConfig, OhttpKey, seal_request},
};
use rand::{SeedableRng as _, rngs::StdRng};

fuzz_target!(|input: &[u8]| {
    let Some((which, bytes)) = input.split_first() else {
        return;
    };
    match which % 6 {
        0 => canonical_form(bytes, canonical::chat_request),
        1 => canonical_form(bytes, canonical::completion_request),
        2 => {
            // A whole request can only be made with the key, so this one stops at the seal.
            let sealed = [&[1, 0, 0x20, 0, 1, 0, 3], bytes].concat();
            assert!(OhttpKey::from_private_key(&[1; 32]).open(&sealed).is_err());
        }
        3 => {
            if let Ok(config) = KeyConfig::from_bytes(bytes) {
                assert_eq!(config.to_bytes(), bytes);
            }
        }
        4 => streams(bytes),
        _ => drop(GatewayIdentity::from_bytes(bytes)),
    }
});

/// What has a canonical form has it for good, in ASCII.
fn canonical_form<E: std::fmt::Debug>(bytes: &[u8], form: fn(&[u8]) -> Result<Vec<u8>, E>) {
    if let Ok(once) = form(bytes) {
        assert!(once.is_ascii());
        assert_eq!(form(&once).expect("a canonical request is a request"), once);
    }
}

/// The bytes in parts of many sizes, to a client and through a relay.
fn streams(bytes: &[u8]) {
    let config = OhttpKey::from_private_key(&[1; 32]).config();
    let mut random = StdRng::seed_from_u64(1);
    let (_, opener) = seal_request(&config, b"", &mut random).expect("sealed");
    let mut opener = opener.open_chunks();
    let (mut whole, mut cut) = (BillingFilter::default(), BillingFilter::default());
    let size = usize::from(bytes.first().copied().unwrap_or(0)) + 1;
    let mut passed = Ok(Vec::new());
    let mut opened = true;
    for part in bytes.chunks(size) {
        opened = opened && opener.push(part).is_ok();
        passed = passed.and_then(|before| Ok([before, cut.push(part)?].concat()));
    }
    assert!(!opened || opener.finish().is_err());
    assert_eq!(whole.push(bytes), passed);
}

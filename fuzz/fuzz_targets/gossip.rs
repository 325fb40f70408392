//! What validators pass on to each other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_consensus::gossip::Message;
use og_types::Canonical as _;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = Message::from_bytes(bytes) {
        assert_eq!(message.to_bytes(), bytes);
    }
});

//! Rows of the registry of gateways, which anybody may have written: those that a relay can ask, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_relay::{MAX_GATEWAYS, usable_gateways};

fuzz_target!(|answer: &[u8]| {
    if let Ok(usable) = usable_gateways(answer) {
        assert!(usable <= MAX_GATEWAYS);
    }
});

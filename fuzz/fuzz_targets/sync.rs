//! What nodes that join or come back hear: where the network is, and stretches of its state.
#![no_main]

use commonware_codec::{Decode as _, Encode as _};
use libfuzzer_sys::fuzz_target;
use og_consensus::probe::Message;
use og_state::{Request, decode_response};

/// Whose certificates are decoded; they say how many seats they are of.
const VALIDATORS: usize = 4;

fuzz_target!(|input: &[u8]| {
    if let Ok(message) = Message::decode_cfg(input.to_vec(), &VALIDATORS) {
        assert_eq!(message.encode().as_ref(), input);
    }
    let Some((request_bytes, bytes)) = input.split_first() else {
        return;
    };
    let Some((request, response)) = bytes.split_at_checked(usize::from(*request_bytes)) else {
        return;
    };
    if let Ok(request) = Request::decode_cfg(request.to_vec(), &()) {
        let _ = decode_response(&request, response.to_vec().into());
    }
});

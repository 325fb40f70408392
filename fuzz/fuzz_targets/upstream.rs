//! What operators hand over: files that say whom to ask, certificates of authorities, keys.
#![no_main]

use libfuzzer_sys::fuzz_target;
use og_upstream::{Limits, Upstream, UpstreamAccess, UpstreamAuthority, UpstreamKey};

fuzz_target!(|bytes: &[u8]| {
    let authorities = UpstreamAuthority::read_all(bytes).unwrap_or_default();
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(key) = UpstreamKey::new(text) {
        assert_eq!(format!("{key:?}"), "UpstreamKey(..)");
    }
    let access = UpstreamAccess {
        authorities,
        ..UpstreamAccess::default()
    };
    let _ = Upstream::new(text, &access, Limits::default());
});

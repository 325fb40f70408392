//! The vectors of the published client, as other tests read them.

use alloy_primitives::hex;
use og_opengradient::SigningKey;
use serde_json::Value;
use std::sync::LazyLock;

static SDK: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../vectors/sdk-1.1.4.json")).expect("JSON")
});

/// The vector at this JSON pointer.
pub(crate) fn sdk(pointer: &str) -> &'static Value {
    SDK.pointer(pointer).expect(pointer)
}

/// The text at this JSON pointer.
pub(crate) fn text(pointer: &str) -> &'static str {
    sdk(pointer).as_str().expect(pointer)
}

/// The bytes whose hexadecimal digits are at this JSON pointer.
pub(crate) fn bytes(pointer: &str) -> Vec<u8> {
    hex::decode(text(pointer)).expect(pointer)
}

/// As many bytes, at this JSON pointer.
pub(crate) fn array<const N: usize>(pointer: &str) -> [u8; N] {
    bytes(pointer).try_into().expect(pointer)
}

/// The vectors' signing key.
pub(crate) fn signing_key() -> SigningKey {
    let pem = pem::parse(text("/tee/private_key_pem")).expect("PEM");
    SigningKey::from_pkcs8(pem.contents()).expect("an RSA key")
}

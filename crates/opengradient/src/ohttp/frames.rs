//! Lengths in front of chunks: QUIC's variable-length integers (RFC 9000, section 16).

/// Stands in front of the last chunk, which goes on to the end of the stream.
pub(super) const FINAL: u8 = 0;

/// Length in bytes of the integer that begins with `first`.
pub(super) const fn varint_bytes(first: u8) -> usize {
    1 << (first >> 6)
}

/// The shortest encoding, or `None` for what has more than 62 bits.
pub(super) fn varint(value: usize) -> Option<Vec<u8>> {
    let value = u64::try_from(value).ok()?;
    let (bytes, tag) = match value {
        0..0x40 => (1, 0),
        0x40..0x4000 => (2, 0x40),
        0x4000..0x4000_0000 => (4, 0x80),
        0x4000_0000..0x4000_0000_0000_0000 => (8, 0xc0),
        _ => return None,
    };
    let mut encoded = value.to_be_bytes().to_vec().split_off(8 - bytes);
    if let Some(first) = encoded.first_mut() {
        *first |= tag;
    }
    Some(encoded)
}

/// The value of the integer at the beginning of `bytes`, if all of it is there, and the rest.
pub(super) fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (encoded, rest) = bytes.split_at_checked(varint_bytes(*bytes.first()?))?;
    let mut value = 0;
    for (index, byte) in encoded.iter().enumerate() {
        let byte = if index == 0 { byte & 0x3f } else { *byte };
        value = value << 8 | u64::from(byte);
    }
    Some((value, rest))
}

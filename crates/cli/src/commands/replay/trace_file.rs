//! Traces as files (`docs/formats/trace.md`).

use og_program::{operation::Step, trace::Hash};
use std::collections::BTreeMap;

/// The first bytes of every trace file.
const MAGIC: &[u8; 8] = b"OGTRACE\n";
/// Version of the format.
const VERSION: u32 = 1;
/// Bytes of an entry: position, step, hash.
const ENTRY_BYTES: usize = 40;
/// Bytes before the entries: magic, version, the model's id.
const HEADER_BYTES: usize = 44;
/// Longest trace file that is read, in bytes.
pub(super) const MAX_BYTES: u64 = 1 << 30;

/// The hashes of committed values, by position and step.
pub(super) type Hashes = BTreeMap<(u32, Step), Hash>;

/// The bytes of a trace of a model.
pub(super) fn encode(model: &[u8; 32], leaves: &Hashes) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + leaves.len() * ENTRY_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(model);
    for ((position, step), hash) in leaves {
        bytes.extend_from_slice(&position.to_le_bytes());
        bytes.extend_from_slice(&step.to_le_bytes());
        bytes.extend_from_slice(hash);
    }
    bytes
}

/// The model and the leaves of a trace; `None` if the bytes are none, of another version, or not in order.
pub(super) fn decode(bytes: &[u8]) -> Option<([u8; 32], Hashes)> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (version, rest) = rest.split_first_chunk()?;
    let (model, rest) = rest.split_first_chunk()?;
    let (entries, left) = rest.as_chunks::<ENTRY_BYTES>();
    if u32::from_le_bytes(*version) != VERSION || !left.is_empty() {
        return None;
    }
    let mut leaves = BTreeMap::new();
    for entry in entries {
        let (position, rest) = entry.split_first_chunk()?;
        let (step, hash) = rest.split_first_chunk()?;
        let key = (u32::from_le_bytes(*position), u32::from_le_bytes(*step));
        if leaves
            .last_key_value()
            .is_some_and(|(last, _)| *last >= key)
        {
            return None;
        }
        leaves.insert(key, hash.try_into().ok()?);
    }
    Some((*model, leaves))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_back_and_a_damaged_one_is_not() {
        let leaves = BTreeMap::from([((0, 3), [1; 32]), ((0, 4), [2; 32]), ((1, 3), [3; 32])]);
        let bytes = encode(&[9; 32], &leaves);
        assert_eq!(decode(&bytes), Some(([9; 32], leaves)));
        for length in (0..HEADER_BYTES).chain([bytes.len() - 1]) {
            assert_eq!(decode(&bytes[..length]), None, "{length}");
        }
        let mut swapped = bytes;
        swapped.copy_within(
            HEADER_BYTES..HEADER_BYTES + ENTRY_BYTES,
            HEADER_BYTES + ENTRY_BYTES,
        );
        assert_eq!(decode(&swapped), None);
    }
}

//! Blocks, as files and as consensus carries them.
#![no_main]

use commonware_codec::{DecodeExt as _, Encode as _};
use libfuzzer_sys::fuzz_target;
use og_chain::Block;
use og_consensus::ConsensusBlock;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(block) = Block::from_bytes(bytes) {
        assert_eq!(block.bytes().as_ref(), bytes);
        let _ = block.decoded_transactions();
    }
    if let Ok(block) = ConsensusBlock::decode(bytes.to_vec()) {
        assert_eq!(block.encode().as_ref(), bytes);
    }
});

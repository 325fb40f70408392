//! Blocks in memory: those that were stored or read last, which are those that people ask about.

use og_chain::Block;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// Bytes of encoded blocks that are kept; in memory they take about twice as much.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Blocks that are kept.
const MAX_BLOCKS: usize = 64;

/// A few blocks, decoded: decoding a full one takes milliseconds.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The newest last.
    blocks: VecDeque<Block>,
    bytes: usize,
}

impl Recent {
    /// The block at `height`, if it is kept.
    pub(super) fn get(&self, height: u64) -> Option<Block> {
        let kept = self.0.lock();
        let mut newest_first = kept.blocks.iter().rev();
        newest_first
            .find(|block| block.header().height == height)
            .cloned()
    }

    /// Keeps a block that is in the database, and drops those that were kept longest.
    pub(super) fn keep(&self, block: &Block) {
        let mut kept = self.0.lock();
        kept.bytes += block.bytes().len();
        kept.blocks.push_back(block.clone());
        while (kept.bytes > MAX_BYTES || kept.blocks.len() > MAX_BLOCKS)
            && let Some(oldest) = kept.blocks.pop_front()
        {
            kept.bytes -= oldest.bytes().len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Bytes;
    use og_types::Header;

    fn block(height: u64, bytes: usize) -> Block {
        let header = Header {
            height,
            ..Header::default()
        };
        Block::new(header, vec![Bytes::from(vec![0; bytes])], Vec::new())
    }

    #[test]
    fn the_newest_blocks_are_kept_within_the_bound() {
        let recent = Recent::default();
        for height in 0..100 {
            recent.keep(&block(height, MAX_BYTES / 10));
        }
        assert_eq!(recent.get(99).unwrap().header().height, 99);
        assert!(recent.get(91).is_some());
        assert!(recent.get(90).is_none());
        assert!(recent.0.lock().bytes <= MAX_BYTES);
        for height in 100..200 {
            recent.keep(&block(height, 0));
        }
        assert!(recent.get(136).is_some());
        assert!(recent.get(135).is_none());
    }
}

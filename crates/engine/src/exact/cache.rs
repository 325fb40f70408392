//! What is kept of earlier positions: blocks of positions, shared by sequences that begin alike.
//!
//! A sequence is a list of blocks of [`BLOCK_POSITIONS`] positions. Full blocks of known tokens form a tree: a block is
//! found by the block before it and its own tokens, compared as they are. A block that no sequence uses stays until its
//! memory is needed; then the one that was used longest ago, and that no other hangs on, makes way. Memory is bounded,
//! and taken only when it is used.

use og_program::trace::{self, Hash};
use std::collections::{BTreeMap, HashMap};

/// Positions of a block.
pub const BLOCK_POSITIONS: usize = 32;

/// A block's number in the pool.
pub(crate) type BlockId = u32;

/// Names a sequence of an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceId(pub(crate) u64);

/// What a full block is found by: the block before it, and its tokens.
type Key = (Option<BlockId>, [u32; BLOCK_POSITIONS]);

#[derive(Debug, Default)]
struct Block {
    /// Kept values, as the plan lays them out; empty until the block is first used.
    data: Box<[i16]>,
    /// Roots of the bodies of its positions, as far as they are known.
    roots: Vec<Hash>,
    /// Sequences and blocks of the tree that need it.
    users: usize,
    /// Blocks of the tree that hang on it.
    children: usize,
    /// Where it hangs in the tree.
    key: Option<Box<Key>>,
    /// When it was used last, while nobody uses it.
    idle_since: Option<u64>,
}

#[derive(Debug, Default)]
struct Sequence {
    blocks: Vec<BlockId>,
    /// Leading blocks that hang in the tree and must not be written.
    shared: usize,
    length: usize,
    /// Tokens of all positions; fewer if the program takes none.
    tokens: Vec<u32>,
    /// Roots of its first positions; of all if it is traced.
    roots: Vec<Hash>,
}

/// Why a position cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// All blocks are used by running sequences.
    #[error(
        "all {0} blocks of the cache are in use: run fewer sequences at once, or raise its bytes"
    )]
    Full(usize),
    /// There is no such sequence.
    #[error("the sequence has ended")]
    Ended,
}

/// Blocks and the sequences that use them.
#[derive(Debug)]
pub(crate) struct Cache {
    block_length: usize,
    most_blocks: usize,
    blocks: Vec<Block>,
    free: Vec<BlockId>,
    tree: HashMap<Key, BlockId>,
    idle: BTreeMap<u64, BlockId>,
    clock: u64,
    sequences: HashMap<SequenceId, Sequence>,
    next_sequence: u64,
    keeps_prefixes: bool,
}

impl Cache {
    /// An empty cache of at most `bytes`, but at least one block, for blocks of `block_length` 16-bit numbers.
    pub(crate) fn new(block_length: usize, bytes: usize, keeps_prefixes: bool) -> Self {
        let block_bytes = block_length * 2 + BLOCK_POSITIONS * 36 + 256;
        let most_blocks = (bytes / block_bytes).clamp(1, 1 << 24);
        Self {
            block_length,
            most_blocks,
            blocks: vec![],
            free: vec![],
            tree: HashMap::new(),
            idle: BTreeMap::new(),
            clock: 0,
            sequences: HashMap::new(),
            next_sequence: 0,
            keeps_prefixes,
        }
    }

    /// Blocks that there can be.
    pub(crate) fn most_blocks(&self) -> usize {
        self.most_blocks
    }

    /// Blocks that sequences hold.
    pub(crate) fn used_blocks(&self) -> usize {
        let held = self
            .blocks
            .iter()
            .filter(|block| block.users > block.children);
        held.count()
    }

    /// A new sequence, which begins with the blocks that are kept of its first tokens, at most `tokens.len() - 1`
    /// positions so that the last is computed anew. Also gives how many positions there are.
    /// If `traced`, blocks whose roots are not known are computed anew.
    pub(crate) fn begin(&mut self, tokens: &[u32], traced: bool) -> (SequenceId, usize) {
        let id = SequenceId(self.next_sequence);
        self.next_sequence += 1;
        let mut sequence = Sequence::default();
        let mut before = None;
        let whole = tokens.len().saturating_sub(1) / BLOCK_POSITIONS;
        for chunk in tokens.as_chunks::<BLOCK_POSITIONS>().0.iter().take(whole) {
            let Some(block) = self.tree.get(&(before, *chunk)).copied() else {
                break;
            };
            let roots = &self.blocks[block as usize].roots;
            if traced && roots.len() < BLOCK_POSITIONS {
                break;
            }
            let roots = roots.iter().map(|body| trace::position_root(body, None));
            sequence.roots.extend(roots);
            self.hold(block);
            sequence.blocks.push(block);
            before = Some(block);
        }
        sequence.shared = sequence.blocks.len();
        sequence.length = sequence.shared * BLOCK_POSITIONS;
        sequence.tokens = tokens[..sequence.length].to_vec();
        let length = sequence.length;
        self.sequences.insert(id, sequence);
        (id, length)
    }

    fn hold(&mut self, block: BlockId) {
        let block = &mut self.blocks[block as usize];
        block.users += 1;
        if let Some(since) = block.idle_since.take() {
            self.idle.remove(&since);
        }
    }

    /// One user less. A block of the tree then stays idle, any other is free; iterative, since trees are deep.
    fn release(&mut self, id: BlockId) {
        let block = &mut self.blocks[id as usize];
        block.users -= 1;
        if block.users > 0 {
            return;
        }
        if block.key.is_some() {
            self.clock += 1;
            block.idle_since = Some(self.clock);
            self.idle.insert(self.clock, id);
        } else {
            self.free.push(id);
        }
    }

    /// A block that nobody uses: a free one, a new one, or the one that was idle longest.
    fn take(&mut self) -> Result<BlockId, CacheError> {
        let id = if let Some(id) = self.free.pop() {
            id
        } else if self.blocks.len() < self.most_blocks {
            self.blocks.push(Block::default());
            (self.blocks.len() - 1) as BlockId
        } else {
            let (_, id) = self
                .idle
                .pop_first()
                .ok_or(CacheError::Full(self.most_blocks))?;
            let block = &mut self.blocks[id as usize];
            block.idle_since = None;
            if let Some(key) = block.key.take() {
                self.tree.remove(&*key);
                if let Some(before) = key.0 {
                    self.blocks[before as usize].children -= 1;
                    self.release(before);
                }
            }
            id
        };
        let block = &mut self.blocks[id as usize];
        if block.data.is_empty() {
            block.data = vec![0; self.block_length].into_boxed_slice();
        }
        block.users = 1;
        block.roots.clear();
        Ok(id)
    }

    fn sequence(&self, id: SequenceId) -> Result<&Sequence, CacheError> {
        self.sequences.get(&id).ok_or(CacheError::Ended)
    }

    /// Positions of a sequence.
    pub(crate) fn length(&self, id: SequenceId) -> Result<usize, CacheError> {
        self.sequence(id).map(|sequence| sequence.length)
    }

    /// The blocks of a sequence.
    pub(crate) fn blocks_of(&self, id: SequenceId) -> &[BlockId] {
        self.sequences
            .get(&id)
            .map_or(&[], |sequence| &sequence.blocks)
    }

    /// The kept values of a block.
    pub(crate) fn data(&self, block: BlockId) -> &[i16] {
        &self.blocks[block as usize].data
    }

    /// The kept values of the block in which a sequence's position lies, to be written; it was made by [`Self::extend`].
    pub(crate) fn data_mut(&mut self, id: SequenceId, position: usize) -> &mut [i16] {
        let block = self
            .sequences
            .get(&id)
            .and_then(|sequence| sequence.blocks.get(position / BLOCK_POSITIONS));
        match block {
            Some(block) => &mut self.blocks[*block as usize].data,
            None => &mut [],
        }
    }

    /// Makes room for `count` more positions, whose tokens are `tokens` if the program takes any. On an error the
    /// sequence is as before.
    pub(crate) fn extend(
        &mut self,
        id: SequenceId,
        count: usize,
        tokens: &[u32],
    ) -> Result<(), CacheError> {
        let sequence = self.sequence(id)?;
        let (length, have) = (sequence.length, sequence.blocks.len());
        let need = (length + count).div_ceil(BLOCK_POSITIONS);
        // The last block may be shared, if the sequence was cut inside of it: then it is copied.
        let last = length / BLOCK_POSITIONS;
        if sequence.shared > last && count > 0 {
            let old = sequence.blocks[last];
            let new = self.take()?;
            let data = self.blocks[old as usize].data.clone();
            let roots = self.blocks[old as usize].roots.clone();
            let block = &mut self.blocks[new as usize];
            (block.data, block.roots) = (data, roots);
            self.release(old);
            if let Some(sequence) = self.sequences.get_mut(&id) {
                sequence.blocks[last] = new;
                sequence.shared = last;
            }
        }
        let mut taken = vec![];
        for _ in have..need {
            match self.take() {
                Ok(block) => taken.push(block),
                Err(error) => {
                    taken.into_iter().for_each(|block| self.release(block));
                    return Err(error);
                }
            }
        }
        let sequence = self.sequences.get_mut(&id).ok_or(CacheError::Ended)?;
        sequence.blocks.append(&mut taken);
        sequence.length += count;
        sequence.tokens.extend_from_slice(tokens);
        Ok(())
    }

    /// Cuts a sequence to its first `length` positions.
    pub(crate) fn truncate(&mut self, id: SequenceId, length: usize) -> Result<(), CacheError> {
        let sequence = self.sequences.get_mut(&id).ok_or(CacheError::Ended)?;
        if length >= sequence.length {
            return Ok(());
        }
        sequence.length = length;
        sequence.tokens.truncate(length);
        sequence.roots.truncate(length);
        let keep = length.div_ceil(BLOCK_POSITIONS);
        sequence.shared = sequence.shared.min(keep);
        let cut = sequence.blocks.split_off(keep.min(sequence.blocks.len()));
        let last = sequence.blocks.last().copied();
        if let (Some(last), true) = (last, sequence.shared < keep) {
            let roots = &mut self.blocks[last as usize].roots;
            roots.truncate(length - (keep - 1) * BLOCK_POSITIONS);
        }
        // The last first, so that what is nearer to the beginning was used later.
        cut.into_iter().rev().for_each(|block| self.release(block));
        Ok(())
    }

    /// Hangs the full blocks of a sequence into the tree, for others to find: all its positions are final. Where
    /// another hung an equal block there before, the sequence goes on with that one.
    pub(crate) fn share(&mut self, id: SequenceId) {
        let Some(mut sequence) = self.sequences.remove(&id) else {
            return;
        };
        let full = (sequence.length / BLOCK_POSITIONS).min(sequence.tokens.len() / BLOCK_POSITIONS);
        while self.keeps_prefixes && sequence.shared < full {
            let at = sequence.shared;
            let before = at.checked_sub(1).map(|before| sequence.blocks[before]);
            let Some(tokens) = sequence.tokens.as_chunks::<BLOCK_POSITIONS>().0.get(at) else {
                break;
            };
            let (own, key) = (sequence.blocks[at], (before, *tokens));
            let there = self.tree.get(&key).copied();
            match there {
                // A block with fewer roots than this one is of a run that asked for none.
                Some(other) => {
                    if self.blocks[other as usize].roots.len()
                        < self.blocks[own as usize].roots.len()
                    {
                        let roots = std::mem::take(&mut self.blocks[own as usize].roots);
                        self.blocks[other as usize].roots = roots;
                    }
                    self.hold(other);
                    self.release(own);
                    sequence.blocks[at] = other;
                }
                None => {
                    self.tree.insert(key, own);
                    self.blocks[own as usize].key = Some(Box::new(key));
                    if let Some(before) = before {
                        self.blocks[before as usize].children += 1;
                        self.hold(before);
                    }
                }
            }
            sequence.shared += 1;
        }
        self.sequences.insert(id, sequence);
    }

    /// Ends a sequence; its full blocks stay for others while there is room.
    pub(crate) fn end(&mut self, id: SequenceId) {
        self.share(id);
        if let Some(sequence) = self.sequences.remove(&id) {
            let blocks = sequence.blocks.into_iter().rev();
            blocks.for_each(|block| self.release(block));
        }
    }

    /// Notes the roots of a position: of its body, and the whole.
    pub(crate) fn push_root(&mut self, id: SequenceId, position: usize, body: Hash, whole: Hash) {
        let Some(sequence) = self.sequences.get_mut(&id) else {
            return;
        };
        if sequence.roots.len() == position {
            sequence.roots.push(whole);
        }
        if let Some(block) = sequence.blocks.get(position / BLOCK_POSITIONS) {
            let roots = &mut self.blocks[*block as usize].roots;
            if roots.len() >= position % BLOCK_POSITIONS {
                roots.truncate(position % BLOCK_POSITIONS);
                roots.push(body);
            }
        }
    }

    /// The root of a sequence's run, if those of all its positions are known.
    pub(crate) fn run_root(&self, id: SequenceId) -> Option<Hash> {
        let sequence = self.sequences.get(&id)?;
        if sequence.roots.len() != sequence.length {
            return None;
        }
        let mut run = trace::Run::new();
        sequence.roots.iter().for_each(|root| run.push(*root));
        Some(run.root())
    }
}

#[cfg(test)]
mod tests;

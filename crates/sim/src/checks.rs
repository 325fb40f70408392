//! What must be true of every finalized block, on whichever validator it is.

use crate::world::World;
use og_chain::{Block, TransactionReceipt};
use og_consensus::Observer;
use og_types::{BlockHash, RequestId};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What all validators together have finalized.
#[derive(Default)]
struct History {
    /// The one block of each height, from the first validator that finalized it.
    blocks: BTreeMap<u64, Block>,
    /// Requests that were settled, with the height of their block.
    settled: BTreeMap<RequestId, u64>,
    transactions: usize,
    records: usize,
}

/// Checks every finalized block of every validator; a violation panics with what was found.
#[derive(Clone)]
pub(crate) struct Checker {
    world: Arc<World>,
    history: Arc<Mutex<History>>,
}

/// One validator's view of the [`Checker`].
#[derive(Clone)]
pub(crate) struct Watch {
    validator: usize,
    checker: Checker,
    height: Arc<Mutex<u64>>,
}

impl Checker {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self {
            world,
            history: Arc::default(),
        }
    }

    pub(crate) fn watch(&self, validator: usize) -> Watch {
        Watch {
            validator,
            checker: self.clone(),
            height: Arc::default(),
        }
    }

    /// Hash of the block at `height`, and how much was finalized up to now.
    pub(crate) fn summary(&self, height: u64) -> (Option<BlockHash>, usize, usize) {
        let history = self.history.lock();
        (
            history.blocks.get(&height).map(Block::hash),
            history.transactions,
            history.records,
        )
    }

    /// The canonical state root that the finalized block at `height` commits to.
    pub(crate) fn state_root(&self, height: u64) -> Option<alloy_primitives::B256> {
        let history = self.history.lock();
        history
            .blocks
            .get(&height)
            .map(|block| block.header().state_root)
    }

    fn check(&self, validator: usize, block: &Block) {
        let height = block.header().height;
        let mut history = self.history.lock();
        if let Some(known) = history.blocks.get(&height) {
            assert_eq!(
                known.hash(),
                block.hash(),
                "validator {validator} finalized another block at height {height}"
            );
            return;
        }
        if let Some(parent) = height
            .checked_sub(1)
            .and_then(|below| history.blocks.get(&below))
        {
            assert_eq!(
                block.header().parent,
                parent.hash(),
                "a gap below height {height}"
            );
        }
        self.check_records(&mut history, block);
        history.transactions += block.transactions().len();
        history.records += block.records().len();
        history.blocks.insert(height, block.clone());
    }

    /// Written against the rules' text, not with the code that validators run.
    fn check_records(&self, history: &mut History, block: &Block) {
        let world = &self.world;
        let time_ms = block.header().timestamp_ms;
        let mut seen = BTreeSet::new();
        for signed in block.records() {
            let record = &signed.record;
            assert!(
                seen.insert(record.request_id),
                "twice in one block: {record:?}"
            );
            let settled = history
                .settled
                .insert(record.request_id, block.header().height);
            assert_eq!(settled, None, "settled twice: {record:?}");
            assert!(
                world.rules.record_verifier().verify(signed),
                "forged: {record:?}"
            );
            assert_eq!(record.node, world.node.id(), "unknown node");
            assert_eq!(record.model, crate::world::MODEL, "unknown model");
            assert_eq!(record.payee, crate::world::PAYEE, "wrong payee");
            assert_eq!(record.chain_id, crate::world::CHAIN_ID, "wrong chain");
            assert!(record.valid_from_ms <= time_ms, "too early: {record:?}");
            assert!(time_ms <= record.valid_until_ms, "too late: {record:?}");
        }
    }
}

impl Watch {
    /// Height of the last block that this validator finalized.
    pub(crate) fn height(&self) -> u64 {
        *self.height.lock()
    }
}

impl Observer for Watch {
    async fn finalized(&self, block: &Block, receipts: &[TransactionReceipt]) {
        assert_eq!(
            receipts.len(),
            block.transactions().len(),
            "a receipt for each transaction"
        );
        self.checker.check(self.validator, block);
        let mut height = self.height.lock();
        *height = (*height).max(block.header().height);
    }
}

//! What must hold in every simulation, after every step.
//!
//! The rules of blocks are written here a second time, against `docs/formats` and not with the
//! code that validators run.

mod block;
mod violation;

pub use violation::Violation;

use crate::world::World;
use alloy_primitives::B256;
use og_chain::Block;
use og_types::{BlockHash, RequestId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What may wait in one validator at most, in a simulation: its mempool is made so small.
pub const MAX_WAITING: usize = 64;
/// Executed blocks that wait for their finality, at most.
pub const MAX_UNDECIDED: usize = 64;

/// What one validator holds in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Transactions that wait in the mempool.
    pub transactions: usize,
    /// Records that wait in the mempool.
    pub records: usize,
    /// Transactions and records that wait to be passed on to peers.
    pub outgoing: usize,
    /// Executed blocks whose transaction receipts wait for finality.
    pub undecided: usize,
}

/// What one process of a validator has shown.
#[derive(Clone, Copy, Debug, Default)]
struct Process {
    /// The last block that it reported as final since it started.
    height: Option<u64>,
    /// A root of its state that no known block explains yet, and the height that it followed.
    unexplained: Option<(B256, u64)>,
}

/// Watches a whole network. Every method says what was found wrong.
#[derive(Debug)]
pub struct Checker {
    world: Arc<World>,
    /// Farther behind than this, a validator that starts goes on from later state.
    state_sync_blocks: u64,
    /// The one block of each height, from the first validator that reported it final.
    blocks: BTreeMap<u64, Block>,
    /// Up to this height every block is known and keeps the rules.
    checked: u64,
    /// Requests that were settled, with the height of their block.
    settled: BTreeMap<RequestId, u64>,
    /// By account, the nonce of its next transaction.
    nonces: Vec<u64>,
    /// By process, the highest block that it ever reported final.
    reported: BTreeMap<usize, u64>,
    running: BTreeMap<usize, Process>,
    transactions: usize,
}

impl Checker {
    /// A checker of a network that has no block yet, and whose validators fetch state when they
    /// start more than `state_sync_blocks` behind.
    pub fn new(world: Arc<World>, state_sync_blocks: u64) -> Self {
        Self {
            nonces: vec![0; world.accounts.len()],
            world,
            state_sync_blocks,
            blocks: BTreeMap::new(),
            checked: 0,
            settled: BTreeMap::new(),
            reported: BTreeMap::new(),
            running: BTreeMap::new(),
            transactions: 0,
        }
    }

    /// A process of a validator starts, with what its storage holds.
    pub fn started(&mut self, process: usize) {
        self.running.insert(process, Process::default());
    }

    /// A validator reports a block as final, with receipts for its transactions.
    ///
    /// # Errors
    /// A fork, a gap, missing receipts, or a block that breaks a rule.
    pub fn finalized(
        &mut self,
        process: usize,
        block: &Block,
        receipts: usize,
    ) -> Result<(), Violation> {
        let height = block.header().height;
        if receipts != block.transactions().len() {
            return Err(Violation::Receipts {
                process,
                height,
                transactions: block.transactions().len(),
                receipts,
            });
        }
        self.check_order(process, height)?;
        match self.blocks.get(&height) {
            Some(known) if known.hash() == block.hash() => {}
            Some(known) => {
                return Err(Violation::Fork {
                    process,
                    height,
                    known: known.hash(),
                    found: block.hash(),
                });
            }
            None => {
                self.blocks.insert(height, block.clone());
                self.check_new()?;
            }
        }
        let reported = self.reported.entry(process).or_default();
        *reported = height.max(*reported);
        Ok(())
    }

    /// Blocks come one after another; only a restart repeats some, or goes on from state that is
    /// farther on than any that is replayed.
    fn check_order(&mut self, process: usize, height: u64) -> Result<(), Violation> {
        let before = self.height(process);
        let far = before.saturating_add(self.state_sync_blocks);
        let running = self.running.entry(process).or_default();
        let (expected, may_jump) = match running.height {
            Some(height) => (height + 1..=height + 1, false),
            None => (1..=before + 1, height > far),
        };
        if !expected.contains(&height) && !may_jump {
            return Err(Violation::Order {
                process,
                height,
                expected: *expected.end(),
            });
        }
        running.height = Some(height);
        Ok(())
    }

    /// Checks blocks in their order: one that goes on from fetched state may be the first to
    /// report what follows.
    fn check_new(&mut self) -> Result<(), Violation> {
        while let Some(block) = self.blocks.get(&(self.checked + 1)) {
            let parent = self.blocks.get(&self.checked);
            block::check_header(&self.world, parent, block)?;
            block::check_records(&self.world, &mut self.settled, block)?;
            block::check_transactions(&self.world, &mut self.nonces, block)?;
            self.transactions += block.transactions().len();
            self.checked += 1;
        }
        Ok(())
    }

    /// What a restarted validator still knows of the block at `height`, which it once reported.
    ///
    /// # Errors
    /// [`Violation::Lost`].
    pub fn kept(
        &self,
        process: usize,
        height: u64,
        found: Option<BlockHash>,
    ) -> Result<(), Violation> {
        let known = self.blocks.get(&height).map(Block::hash);
        if found.is_some() && found == known {
            return Ok(());
        }
        Err(Violation::Lost { process, height })
    }

    /// The root of a validator's state now. It may be one block ahead of what was reported.
    ///
    /// # Errors
    /// [`Violation::State`] if no final block has this root.
    pub fn state(&mut self, process: usize, root: B256) -> Result<(), Violation> {
        let Some(running) = self.running.get_mut(&process) else {
            return Ok(());
        };
        let Some(height) = running.height else {
            return Ok(());
        };
        let root_at = |height: u64| {
            let block = self.blocks.get(&height)?;
            Some(block.header().state_root)
        };
        // Time has brought the block that an earlier root must belong to.
        if let Some((earlier, after)) = running.unexplained
            && let Some(expected) = root_at(after + 1)
        {
            running.unexplained = None;
            if earlier != expected {
                return Err(Violation::State {
                    process,
                    height: after + 1,
                    found: earlier,
                    expected,
                });
            }
        }
        if root_at(height) == Some(root) || root_at(height + 1) == Some(root) {
            return Ok(());
        }
        match root_at(height + 1) {
            Some(expected) => Err(Violation::State {
                process,
                height: height + 1,
                found: root,
                expected,
            }),
            None => {
                running.unexplained = Some((root, height));
                Ok(())
            }
        }
    }

    /// What a validator holds in memory now.
    ///
    /// # Errors
    /// [`Violation::Unbounded`] names what there is too much of.
    pub fn load(process: usize, load: &Load) -> Result<(), Violation> {
        let limits = [
            ("waiting transactions", load.transactions, MAX_WAITING),
            ("waiting records", load.records, MAX_WAITING),
            (
                "messages to peers",
                load.outgoing,
                og_consensus::gossip::MAX_OUTGOING,
            ),
            ("undecided blocks", load.undecided, MAX_UNDECIDED),
        ];
        for (what, found, maximum) in limits {
            if found > maximum {
                return Err(Violation::Unbounded {
                    process,
                    what,
                    found,
                    maximum,
                });
            }
        }
        Ok(())
    }

    /// Who has blocked whom.
    ///
    /// # Errors
    /// [`Violation::Blocked`] if an honest validator blocks another.
    pub fn blocked(pairs: &[(usize, usize)], honest: &BTreeSet<usize>) -> Result<(), Violation> {
        for &(by, peer) in pairs {
            if honest.contains(&by) && honest.contains(&peer) {
                return Err(Violation::Blocked { by, peer });
            }
        }
        Ok(())
    }

    /// The highest block that a process ever reported final; 0 if none.
    pub fn height(&self, process: usize) -> u64 {
        self.reported.get(&process).copied().unwrap_or(0)
    }

    /// The highest block that any process reported final; 0 if none.
    pub fn highest(&self) -> u64 {
        self.blocks
            .last_key_value()
            .map_or(0, |(height, _)| *height)
    }

    /// By account, the nonce that its next transaction must have.
    pub fn nonces(&self) -> &[u64] {
        &self.nonces
    }

    /// Hash of the highest final block, and how many transactions and records are final.
    pub fn summary(&self) -> (BlockHash, usize, usize) {
        let tip = self.blocks.last_key_value();
        (
            tip.map_or_else(BlockHash::default, |(_, block)| block.hash()),
            self.transactions,
            self.settled.len(),
        )
    }
}

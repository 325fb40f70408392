//! Each checker, shown the fault that it is there for, and what it lets pass.

use alloy_primitives::{Address, B256, Bytes};
use og_chain::Block;
use og_sim::{
    Checker, Violation,
    checks::{Load, MAX_UNDECIDED, MAX_WAITING},
    workload::{record, sign, transfer},
    world::{CHAIN_ID, World},
};
use og_types::{Amount, Header, Record, SignedRecord};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use std::{collections::BTreeSet, sync::Arc};

const BEGIN_MS: u64 = 1_800_000_000_000;
const STATE_SYNC_BLOCKS: u64 = 4;

/// What a checker says of a breach, and how to commit it.
type Breach<T> = (&'static str, fn(&mut T));

/// A world, and blocks that follow each other by the rules.
struct Chain {
    world: Arc<World>,
    chance: ChaCha20Rng,
    checker: Checker,
    blocks: Vec<Block>,
}

impl Chain {
    /// A chain of `height` blocks, which process 0 has reported final.
    fn new(height: u64) -> Self {
        let mut chance = ChaCha20Rng::seed_from_u64(7);
        let world = Arc::new(World::new(&mut chance, 4, BEGIN_MS));
        let mut chain = Self {
            checker: Checker::new(Arc::clone(&world), STATE_SYNC_BLOCKS),
            world,
            chance,
            blocks: Vec::new(),
        };
        for _ in 0..height {
            let block = chain.next(Vec::new(), Vec::new());
            chain.checker.finalized(0, &block, 0).unwrap();
            chain.blocks.push(block);
        }
        chain
    }

    /// The header of a block on the newest, all of it by the rules.
    fn header(&self, transactions: usize) -> Header {
        let parent = self.blocks.last();
        let height = parent.map_or(0, |parent| parent.header().height) + 1;
        Header {
            version: 1,
            chain_id: CHAIN_ID,
            height,
            parent: parent.map_or_else(Default::default, Block::hash),
            epoch: height / 12,
            view: height,
            parent_view: height - 1,
            proposer: self.world.seats[0].key.id(),
            timestamp_ms: BEGIN_MS + height * 1000,
            gas_limit: 30_000_000,
            gas_used: 21_000 * transactions as u64,
            state_root: B256::with_last_byte(height as u8),
            ..Header::default()
        }
    }

    fn next(&self, transactions: Vec<Bytes>, records: Vec<SignedRecord>) -> Block {
        Block::new(self.header(transactions.len()), transactions, records)
    }

    fn record(&mut self) -> Record {
        record(&self.world, &mut self.chance, BEGIN_MS + 1000)
    }

    fn transfer(&self, nonce: u64, chain_id: u64) -> Bytes {
        transfer(&self.world, 1, Address::ZERO, nonce, chain_id)
    }

    /// What the checker says of the next block, if it has been changed so.
    fn judge(&mut self, change: impl FnOnce(&mut Header)) -> Result<(), Violation> {
        let mut header = self.header(0);
        change(&mut header);
        let block = Block::new(header, Vec::new(), Vec::new());
        self.checker.finalized(0, &block, 0)
    }
}

#[test]
fn blocks_by_the_rules_pass_on_every_validator() {
    let mut chain = Chain::new(3);
    let record = chain.record();
    let signed = sign(&chain.world, record);
    let transfers = vec![chain.transfer(0, CHAIN_ID), chain.transfer(1, CHAIN_ID)];
    let block = chain.next(transfers, vec![signed]);
    chain.checker.finalized(0, &block, 2).unwrap();
    chain.blocks.push(block);
    for block in &chain.blocks {
        let receipts = block.transactions().len();
        chain.checker.finalized(1, block, receipts).unwrap();
    }
    let (tip, transactions, records) = chain.checker.summary();
    assert_eq!(tip, chain.blocks[3].hash());
    assert_eq!((transactions, records), (2, 1));
    assert_eq!(chain.checker.nonces()[1], 2);
}

#[test]
fn a_fork_is_found() {
    let mut chain = Chain::new(1);
    let other = Header {
        timestamp_ms: BEGIN_MS + 1500,
        ..chain.blocks[0].header().clone()
    };
    let other = Block::new(other, Vec::new(), Vec::new());
    let found = chain.checker.finalized(1, &other, 0);
    assert!(matches!(found, Err(Violation::Fork { height: 1, .. })));
}

#[test]
fn a_block_left_out_or_repeated_is_found() {
    let mut chain = Chain::new(3);
    let [first, second, third] = &chain.blocks[..] else {
        panic!("three blocks");
    };
    chain.checker.started(1);
    chain.checker.finalized(1, first, 0).unwrap();
    let gap = chain.checker.finalized(1, third, 0);
    assert!(matches!(gap, Err(Violation::Order { expected: 2, .. })));
    chain.checker.finalized(1, second, 0).unwrap();
    let again = chain.checker.finalized(1, first, 0);
    assert!(matches!(again, Err(Violation::Order { expected: 3, .. })));
    // A restart may repeat what was final, but leaves nothing out.
    chain.checker.started(1);
    chain.checker.finalized(1, first, 0).unwrap();
    chain.checker.started(2);
    let gap = chain.checker.finalized(2, second, 0);
    assert!(matches!(gap, Err(Violation::Order { expected: 1, .. })));
}

#[test]
fn a_validator_may_start_from_state_that_is_far_on() {
    let mut chain = Chain::new(STATE_SYNC_BLOCKS + 1);
    chain.checker.started(1);
    let (near, far) = (&chain.blocks[3], &chain.blocks[4]);
    let gap = chain.checker.finalized(1, near, 0);
    assert!(matches!(gap, Err(Violation::Order { expected: 1, .. })));
    chain.checker.started(1);
    chain.checker.finalized(1, far, 0).unwrap();
    // Only when it starts.
    let mut blocks = Chain::new(2 * STATE_SYNC_BLOCKS).blocks;
    let gap = chain.checker.finalized(1, &blocks.pop().unwrap(), 0);
    assert!(matches!(gap, Err(Violation::Order { expected: 6, .. })));
}

#[test]
fn blocks_that_come_before_their_parents_are_checked_when_those_come() {
    let mut chain = Chain::new(1);
    let second = chain.next(Vec::new(), Vec::new());
    chain.blocks.push(second.clone());
    for breach in [true, false] {
        let mut checker = Checker::new(Arc::clone(&chain.world), 0);
        let mut header = chain.header(0);
        header.gas_used += u64::from(breach);
        let third = Block::new(header, Vec::new(), Vec::new());
        checker.finalized(0, &third, 0).unwrap();
        checker.finalized(1, &chain.blocks[0], 0).unwrap();
        let found = checker.finalized(1, &second, 0);
        assert_eq!(found.is_err(), breach, "{found:?}");
    }
}

#[test]
fn missing_receipts_are_found() {
    let mut chain = Chain::new(1);
    let block = chain.next(vec![chain.transfer(0, CHAIN_ID)], Vec::new());
    let found = chain.checker.finalized(0, &block, 0);
    assert!(matches!(found, Err(Violation::Receipts { .. })));
}

/// But for the two roots of the body: no `Block` exists whose body they do not fit.
#[test]
fn every_rule_of_headers_is_checked() {
    let changes: [Breach<Header>; 11] = [
        ("parent", |it| it.parent.0[0] ^= 1),
        ("not after its parent", |it| it.timestamp_ms -= 1000),
        ("too long after", |it| it.timestamp_ms += 60_000),
        ("state did not change", |it| {
            it.state_root = B256::with_last_byte(2);
        }),
        ("version", |it| it.version = 2),
        ("another chain", |it| it.chain_id += 1),
        ("epoch", |it| it.epoch += 1),
        ("its view", |it| it.view = it.parent_view),
        ("seat", |it| it.proposer.0[0] ^= 1),
        ("use of gas", |it| it.gas_used = 1),
        ("use of gas", |it| it.gas_used = u64::MAX),
    ];
    for (reason, change) in changes {
        let found = Chain::new(2).judge(change);
        let Err(Violation::Block { reason: said, .. }) = found else {
            panic!("{reason}: {found:?}");
        };
        assert!(said.contains(reason), "{reason}: {said}");
    }
    Chain::new(2).judge(|_| {}).unwrap();
}

#[test]
fn blocks_beyond_the_limits_are_found() {
    for (transactions, reason) in [
        (vec![Bytes::from(vec![0; 1024 * 1024]); 2], "too long"),
        (vec![Bytes::new(); 4097], "too many transactions"),
    ] {
        let mut chain = Chain::new(1);
        let mut header = chain.header(transactions.len());
        header.gas_limit = u64::MAX;
        let block = Block::new(header, transactions, Vec::new());
        let receipts = block.transactions().len();
        let found = chain.checker.finalized(0, &block, receipts);
        let Err(Violation::Block { reason: said, .. }) = found else {
            panic!("{reason}: {found:?}");
        };
        assert_eq!(said, reason);
    }
}

#[test]
fn every_rule_of_records_is_checked() {
    let changes: [Breach<Record>; 13] = [
        ("version", |it| it.version = 2),
        ("chain_id", |it| it.chain_id += 1),
        ("payer", |it| it.payer = Address::repeat_byte(1)),
        ("payee", |it| it.payee = Address::repeat_byte(1)),
        ("price", |it| it.price = Amount(1)),
        ("model", |it| it.model.0[0] ^= 1),
        ("too early", |it| it.valid_from_ms = BEGIN_MS + 100_000),
        ("too late", |it| it.valid_until_ms = BEGIN_MS + 1),
        ("window", |it| it.valid_from_ms = BEGIN_MS - 600_000),
        ("times", |it| it.finished_at_ms = it.started_at_ms - 1),
        ("node", |it| it.node.0[0] ^= 1),
        ("evidence", |it| it.evidence = Some(B256::ZERO)),
        ("signature", |_| {}),
    ];
    for (reason, change) in changes {
        let mut chain = Chain::new(1);
        let mut record = chain.record();
        change(&mut record);
        let mut signed = sign(&chain.world, record);
        if reason == "signature" {
            signed.signature.0[0] ^= 1;
        }
        let block = chain.next(Vec::new(), vec![signed]);
        let found = chain.checker.finalized(0, &block, 0);
        let Err(Violation::Record { reason: said, .. }) = found else {
            panic!("{reason}: {found:?}");
        };
        assert!(said.starts_with(reason), "{reason}: {said}");
    }
}

#[test]
fn a_request_settled_twice_is_found() {
    let mut chain = Chain::new(1);
    let first = chain.record();
    let rival = Record {
        output_units: 9,
        ..first
    };
    let [first, rival] = [first, rival].map(|record| sign(&chain.world, record));
    // In one block, and in two.
    let both = chain.next(Vec::new(), vec![first.clone(), rival.clone()]);
    let found = chain.checker.finalized(0, &both, 0);
    assert!(matches!(found, Err(Violation::Record { .. })));
    let mut chain = Chain::new(1);
    let block = chain.next(Vec::new(), vec![first]);
    chain.checker.finalized(0, &block, 0).unwrap();
    chain.blocks.push(block);
    let block = chain.next(Vec::new(), vec![rival]);
    let found = chain.checker.finalized(0, &block, 0);
    assert!(matches!(found, Err(Violation::Record { .. })));
}

#[test]
fn inadmissible_transactions_are_found() {
    let stranger = Chain::new(0).world;
    for (what, raw) in [
        ("nonce", Chain::new(1).transfer(1, CHAIN_ID)),
        ("another chain", Chain::new(1).transfer(0, 1)),
        ("not even one", Bytes::from_static(&[2, 0])),
        ("no account", {
            let mut chance = ChaCha20Rng::seed_from_u64(8);
            let other = World::new(&mut chance, 4, BEGIN_MS);
            assert_ne!(other.accounts[1].address(), stranger.accounts[1].address());
            transfer(&other, 1, Address::ZERO, 0, CHAIN_ID)
        }),
    ] {
        let mut chain = Chain::new(1);
        let block = chain.next(vec![raw], Vec::new());
        let found = chain.checker.finalized(0, &block, 1);
        let is_found = matches!(found, Err(Violation::Transaction { .. }));
        assert!(is_found, "{what}: {found:?}");
    }
}

#[test]
fn another_state_is_found_at_once_or_when_its_block_comes() {
    let root = |height| B256::with_last_byte(height);
    let mut chain = Chain::new(3);
    chain.checker.started(1);
    for block in chain.blocks.clone().iter().take(1) {
        chain.checker.finalized(1, block, 0).unwrap();
    }
    // The database may be one block ahead of what was reported, but not two, nor elsewhere.
    chain.checker.state(1, root(1)).unwrap();
    chain.checker.state(1, root(2)).unwrap();
    for wrong in [root(3), B256::repeat_byte(9)] {
        let found = chain.checker.state(1, wrong);
        assert!(matches!(found, Err(Violation::State { height: 2, .. })));
    }
    // At the tip nobody knows yet what the next root is.
    chain.checker.state(0, B256::repeat_byte(9)).unwrap();
    let block = chain.next(Vec::new(), Vec::new());
    chain.checker.finalized(0, &block, 0).unwrap();
    let found = chain.checker.state(0, root(4));
    assert!(matches!(found, Err(Violation::State { height: 4, .. })));
}

#[test]
fn a_lost_block_is_found() {
    let chain = Chain::new(2);
    let second = chain.blocks[1].hash();
    chain.checker.kept(0, 2, Some(second)).unwrap();
    for found in [None, Some(chain.blocks[0].hash())] {
        let lost = chain.checker.kept(0, 2, found);
        assert!(matches!(lost, Err(Violation::Lost { height: 2, .. })));
    }
}

#[test]
fn too_much_in_memory_is_found() {
    let most = Load {
        transactions: MAX_WAITING,
        records: MAX_WAITING,
        outgoing: og_consensus::gossip::MAX_OUTGOING,
        undecided: MAX_UNDECIDED,
    };
    Checker::load(0, &most).unwrap();
    let above: [fn(&mut Load); 4] = [
        |it| it.transactions += 1,
        |it| it.records += 1,
        |it| it.outgoing += 1,
        |it| it.undecided += 1,
    ];
    for add in above {
        let mut load = most;
        add(&mut load);
        let found = Checker::load(0, &load);
        assert!(matches!(found, Err(Violation::Unbounded { .. })));
    }
}

#[test]
fn an_honest_validator_that_is_blocked_by_another_is_found() {
    let honest = BTreeSet::from([0, 1, 2]);
    Checker::blocked(&[(0, 3), (3, 1)], &honest).unwrap();
    let found = Checker::blocked(&[(0, 3), (1, 2)], &honest);
    assert_eq!(found, Err(Violation::Blocked { by: 1, peer: 2 }));
}

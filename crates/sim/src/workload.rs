//! What clients do in a simulation: transfers and records, good ones and bad ones.

use crate::world::{CHAIN_ID, MODEL, PAYEE, World};
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_signer::SignerSync as _;
use og_crypto::{NodeKey, commit_input, commit_output};
use og_types::{Amount, Computed, ModelId, Record, RequestId, SignedRecord, Tier};
use rand_core::CryptoRng;

/// What a client hands to a validator.
#[derive(Clone, Debug)]
pub enum Submission {
    /// A raw transaction.
    Transaction(Bytes),
    /// A signed record.
    Record(Box<SignedRecord>),
}

/// What validators must make of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It may stand in a block, unless something else has taken its place meanwhile.
    May,
    /// No block may ever hold it, so it must be refused.
    Never,
}

/// Makes submissions, remembering what could be repeated.
#[derive(Debug, Default)]
pub struct Workload {
    last: Option<SignedRecord>,
}

impl Workload {
    /// The next submission: one in four is something that no block may admit.
    ///
    /// `nonces` are those of the accounts in the newest final block.
    pub fn next(
        &mut self,
        world: &World,
        rng: &mut impl CryptoRng,
        nonces: &[u64],
        now_ms: u64,
    ) -> (Submission, Expected) {
        match rng.next_u32() % 8 {
            0..3 => {
                let from = rng.next_u32() as usize % world.accounts.len();
                let to = Address::from_slice(&random(rng)[12..]);
                let raw = transfer(world, from, to, nonces[from], CHAIN_ID);
                (Submission::Transaction(raw), Expected::May)
            }
            3..5 => (self.good_record(world, rng, now_ms), Expected::May),
            5 => (self.rival(world, rng, now_ms), Expected::May),
            6 => (
                Submission::Record(Box::new(forged_record(world, rng, now_ms))),
                Expected::Never,
            ),
            _ => (
                Submission::Transaction(bad_transaction(world, rng)),
                Expected::Never,
            ),
        }
    }

    /// A record that any block of the next minutes may hold.
    pub fn good_record(
        &mut self,
        world: &World,
        rng: &mut impl CryptoRng,
        now_ms: u64,
    ) -> Submission {
        let record = sign(world, record(world, rng, now_ms));
        self.last = Some(record.clone());
        Submission::Record(Box::new(record))
    }

    /// Another record of a request that has one already: at most one of them may settle.
    fn rival(&self, world: &World, rng: &mut impl CryptoRng, now_ms: u64) -> Submission {
        let mut rival = record(world, rng, now_ms);
        if let Some(last) = &self.last {
            rival.request_id = last.record.request_id;
        }
        Submission::Record(Box::new(sign(world, rival)))
    }
}

/// A record that breaks a rule whatever the state and the time.
pub fn forged_record(world: &World, rng: &mut impl CryptoRng, now_ms: u64) -> SignedRecord {
    let good = record(world, rng, now_ms);
    let bad = match rng.next_u32() % 11 {
        0 => Record {
            chain_id: 1,
            ..good
        },
        1 => Record {
            model: ModelId([8; 32]),
            ..good
        },
        2 => Record {
            valid_from_ms: 0,
            valid_until_ms: 1,
            ..good
        },
        3 => Record {
            valid_until_ms: good.valid_from_ms + 600_001,
            ..good
        },
        4 => Record {
            payee: Address::ZERO,
            ..good
        },
        5 => Record {
            price: Amount(1),
            ..good
        },
        6 => Record {
            payer: PAYEE,
            ..good
        },
        7 => Record {
            finished_at_ms: good.started_at_ms - 1,
            ..good
        },
        8 => Record {
            evidence: Some(B256::repeat_byte(1)),
            ..good
        },
        // Signed by somebody who is not the node.
        9 => {
            let stranger = NodeKey::from_seed(random(rng));
            let mut forged = stranger.sign(&world.rules.genesis_hash(), good);
            forged.record.node = world.node.id();
            return forged;
        }
        // By a node that is not registered.
        _ => {
            let stranger = NodeKey::from_seed(random(rng));
            let own = Record {
                node: stranger.id(),
                ..good
            };
            return stranger.sign(&world.rules.genesis_hash(), own);
        }
    };
    sign(world, bad)
}

/// A transaction that no block of this chain may ever hold.
pub fn bad_transaction(world: &World, rng: &mut impl CryptoRng) -> Bytes {
    let to = Address::from_slice(&random(rng)[12..]);
    match rng.next_u32() % 3 {
        0 => transfer(world, 0, to, u64::MAX - 1, CHAIN_ID),
        1 => transfer(world, 0, to, 0, CHAIN_ID + 1),
        _ => Bytes::copy_from_slice(&random(rng)),
    }
}

/// A transfer of one unit.
pub fn transfer(world: &World, from: usize, to: Address, nonce: u64, chain_id: u64) -> Bytes {
    let transaction = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(to),
        value: U256::from(1),
        ..TxEip1559::default()
    };
    let signature = world.accounts[from]
        .sign_hash_sync(&transaction.signature_hash())
        .expect("a local key signs");
    TxEnvelope::from(transaction.into_signed(signature))
        .encoded_2718()
        .into()
}

/// Signs a record as the registered node.
pub fn sign(world: &World, record: Record) -> SignedRecord {
    world.node.sign(&world.rules.genesis_hash(), record)
}

/// An admissible record of a new request, not signed.
pub fn record(world: &World, rng: &mut impl CryptoRng, now_ms: u64) -> Record {
    let salt = B256::from(random(rng));
    Record {
        version: 1,
        chain_id: CHAIN_ID,
        request_id: RequestId(random(rng)),
        payer: Address::ZERO,
        payee: PAYEE,
        price: Amount(0),
        model: MODEL,
        tier: Tier::Signed,
        computed: Computed::Float,
        valid_from_ms: now_ms.saturating_sub(60_000),
        valid_until_ms: now_ms + 120_000,
        input_commitment: commit_input(&salt, b"question"),
        output_commitment: commit_output(&salt, b"answer"),
        seed: 0,
        input_units: 1,
        output_units: 1,
        started_at_ms: now_ms,
        finished_at_ms: now_ms,
        node: world.node.id(),
        evidence: None,
    }
}

/// 32 bytes of chance.
pub fn random(rng: &mut impl CryptoRng) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

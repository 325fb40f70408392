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
pub(crate) enum Submission {
    Transaction(Bytes),
    Record(Box<SignedRecord>),
}

/// Makes submissions, remembering the accounts' nonces.
pub(crate) struct Workload {
    nonces: Vec<u64>,
    last: Option<SignedRecord>,
}

impl Workload {
    pub(crate) fn new(world: &World) -> Self {
        Self {
            nonces: vec![0; world.accounts.len()],
            last: None,
        }
    }

    /// The next submission: one in four is something that no block may admit.
    pub(crate) fn next(
        &mut self,
        world: &World,
        rng: &mut impl CryptoRng,
        now_ms: u64,
    ) -> (Submission, bool) {
        match rng.next_u32() % 8 {
            0..3 => (self.transfer(world, rng), true),
            3..6 => {
                let record = sign(world, record(world, rng, now_ms));
                self.last = Some(record.clone());
                (Submission::Record(Box::new(record)), true)
            }
            6 => (
                Submission::Record(Box::new(self.bad_record(world, rng, now_ms))),
                false,
            ),
            _ => (bad_transaction(world, rng), false),
        }
    }

    fn transfer(&mut self, world: &World, rng: &mut impl CryptoRng) -> Submission {
        let from = rng.next_u32() as usize % world.accounts.len();
        let to = Address::from_slice(&random(rng)[12..]);
        let nonce = self.nonces[from];
        self.nonces[from] += 1;
        Submission::Transaction(transfer(world, from, to, nonce, CHAIN_ID))
    }

    fn bad_record(&self, world: &World, rng: &mut impl CryptoRng, now_ms: u64) -> SignedRecord {
        let good = record(world, rng, now_ms);
        match rng.next_u32() % 6 {
            0 => sign(
                world,
                Record {
                    chain_id: 1,
                    ..good
                },
            ),
            1 => sign(
                world,
                Record {
                    model: ModelId([8; 32]),
                    ..good
                },
            ),
            2 => sign(
                world,
                Record {
                    valid_until_ms: now_ms - 1,
                    ..good
                },
            ),
            3 => sign(
                world,
                Record {
                    payee: Address::ZERO,
                    ..good
                },
            ),
            4 => {
                let stranger = NodeKey::from_seed(random(rng));
                let mut forged = stranger.sign(&world.rules.genesis_hash(), good);
                forged.record.node = world.node.id();
                forged
            }
            // A second record for a request that has one.
            _ => {
                let request_id = self
                    .last
                    .as_ref()
                    .map_or(good.request_id, |last| last.record.request_id);
                sign(
                    world,
                    Record {
                        request_id,
                        price: Amount(1),
                        ..good
                    },
                )
            }
        }
    }
}

fn bad_transaction(world: &World, rng: &mut impl CryptoRng) -> Submission {
    let to = Address::from_slice(&random(rng)[12..]);
    let raw = match rng.next_u32() % 3 {
        0 => transfer(world, 0, to, u64::MAX - 1, CHAIN_ID),
        1 => transfer(world, 0, to, 0, CHAIN_ID + 1),
        _ => Bytes::copy_from_slice(&random(rng)),
    };
    Submission::Transaction(raw)
}

fn transfer(world: &World, from: usize, to: Address, nonce: u64, chain_id: u64) -> Bytes {
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

fn sign(world: &World, record: Record) -> SignedRecord {
    world.node.sign(&world.rules.genesis_hash(), record)
}

fn record(world: &World, rng: &mut impl CryptoRng, now_ms: u64) -> Record {
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

fn random(rng: &mut impl CryptoRng) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

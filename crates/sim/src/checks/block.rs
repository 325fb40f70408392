//! The rules of blocks, from `docs/formats/{header,block,record}.md`.

use super::Violation;
use crate::world::{CHAIN_ID, EPOCH_LENGTH, MODEL, PAYEE, World};
use alloy_consensus::{Transaction as _, TxEnvelope, transaction::SignerRecoverable as _};
use alloy_eips::eip2718::Decodable2718 as _;
use alloy_primitives::Address;
use bytes::Bytes;
use commonware_codec::DecodeExt as _;
use commonware_cryptography::{
    Verifier as _,
    ed25519::{PublicKey, Signature},
};
use og_chain::Block;
use og_crypto::merkle::list_root;
use og_types::{Canonical as _, Record, RequestId, SignedRecord, Tier};
use std::collections::BTreeMap;

/// Most that a block's time may be after its parent's, in milliseconds.
const TIME_STEP_MS: u64 = 60_000;
/// Longest window of a record, in milliseconds.
const WINDOW_MS: u64 = 600_000;
/// Gas of a plain transfer, which all transactions of simulations are.
const TRANSFER_GAS: u64 = 21_000;
/// Largest block, record and list, in bytes and items.
const BLOCK_BYTES: usize = 2 * 1024 * 1024;
const RECORD_BYTES: usize = 1024;
const ITEMS: usize = 4096;

pub(super) fn check_header(
    world: &World,
    parent: Option<&Block>,
    block: &Block,
) -> Result<(), Violation> {
    let header = block.header();
    let height = header.height;
    let require = |holds: bool, reason: &str| {
        if holds {
            return Ok(());
        }
        Err(Violation::Block {
            height,
            reason: reason.to_owned(),
        })
    };
    match parent {
        Some(parent) => {
            let parent_ms = parent.header().timestamp_ms;
            require(header.parent == parent.hash(), "another parent")?;
            require(header.timestamp_ms > parent_ms, "not after its parent")?;
            let step_ms = header.timestamp_ms.saturating_sub(parent_ms);
            require(step_ms <= TIME_STEP_MS, "too long after its parent")?;
            let root = parent.header().state_root;
            require(header.state_root != root, "the state did not change")?;
        }
        None => require(height == 1, "no parent")?,
    }
    let seats = &world.rules.genesis().validators;
    let seated = seats.iter().any(|seat| seat.id == header.proposer);
    require(header.version == 1, "version")?;
    require(header.chain_id == CHAIN_ID, "another chain")?;
    require(header.epoch == height / EPOCH_LENGTH, "another epoch")?;
    require(header.view > header.parent_view, "not after its view")?;
    require(seated, "a proposer without a seat")?;
    let gas = TRANSFER_GAS * block.transactions().len() as u64;
    require(header.gas_used == gas, "another use of gas")?;
    require(header.gas_used <= header.gas_limit, "too much gas")?;
    require(block.bytes().len() <= BLOCK_BYTES, "too long")?;
    require(block.records().len() <= ITEMS, "too many records")?;
    require(block.transactions().len() <= ITEMS, "too many transactions")?;
    let transactions = list_root(block.transactions());
    let records: Vec<_> = block.records().iter().map(|r| r.to_bytes()).collect();
    require(
        header.transactions_root == transactions,
        "transactions_root",
    )?;
    require(header.records_root == list_root(&records), "records_root")
}

pub(super) fn check_records(
    world: &World,
    settled: &mut BTreeMap<RequestId, u64>,
    block: &Block,
) -> Result<(), Violation> {
    let height = block.header().height;
    for signed in block.records() {
        let request = signed.record.request_id;
        let reason = match settled.insert(request, height) {
            Some(earlier) => Err(format!("request {request} was settled at height {earlier}")),
            None => check_record(world, signed, block.header().timestamp_ms),
        };
        reason.map_err(|reason| Violation::Record { height, reason })?;
    }
    Ok(())
}

fn check_record(world: &World, signed: &SignedRecord, block_ms: u64) -> Result<(), String> {
    let record = &signed.record;
    let rules = [
        (record.version == 1, "version"),
        (record.chain_id == CHAIN_ID, "chain_id"),
        (record.payer == Address::ZERO, "payer"),
        (record.payee == PAYEE, "payee"),
        (record.price.0 == 0, "price"),
        (record.model == MODEL, "model"),
        (record.tier == Tier::Signed, "tier"),
        (record.valid_from_ms <= block_ms, "too early"),
        (block_ms <= record.valid_until_ms, "too late"),
        (
            record.valid_until_ms.wrapping_sub(record.valid_from_ms) <= WINDOW_MS,
            "window",
        ),
        (record.started_at_ms <= record.finished_at_ms, "times"),
        (record.node == world.node.id(), "node"),
        (record.evidence.is_none(), "evidence"),
        (signed.to_bytes().len() <= RECORD_BYTES, "length"),
        (is_signed(world, record, signed), "signature"),
    ];
    match rules.iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(format!("{what} of {record:?}")),
        None => Ok(()),
    }
}

/// `docs/formats/record.md`, "What is signed".
fn is_signed(world: &World, record: &Record, signed: &SignedRecord) -> bool {
    let namespace = [b"_OG_RECORD_V1", world.rules.genesis_hash().as_slice()].concat();
    let key = PublicKey::decode(Bytes::copy_from_slice(&record.node.0));
    let signature = Signature::decode(Bytes::copy_from_slice(&signed.signature.0));
    let (Ok(key), Ok(signature)) = (key, signature) else {
        return false;
    };
    key.verify(&namespace, &record.to_bytes(), &signature)
}

pub(super) fn check_transactions(
    world: &World,
    nonces: &mut [u64],
    block: &Block,
) -> Result<(), Violation> {
    for raw in block.transactions() {
        check_transaction(world, nonces, raw).map_err(|reason| Violation::Transaction {
            height: block.header().height,
            reason,
        })?;
    }
    Ok(())
}

fn check_transaction(world: &World, nonces: &mut [u64], raw: &[u8]) -> Result<(), String> {
    let transaction = TxEnvelope::decode_2718_exact(raw).map_err(|error| error.to_string())?;
    if transaction.chain_id() != Some(CHAIN_ID) {
        return Err("signed for another chain".to_owned());
    }
    let sender = transaction
        .recover_signer()
        .map_err(|_| "no signature".to_owned())?;
    let account = world
        .accounts
        .iter()
        .position(|account| account.address() == sender)
        .ok_or_else(|| format!("{sender} has no account"))?;
    let nonce = &mut nonces[account];
    if transaction.nonce() != *nonce {
        return Err(format!(
            "nonce {} of {sender}, where {nonce} is next",
            transaction.nonce()
        ));
    }
    *nonce += 1;
    Ok(())
}

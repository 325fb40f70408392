//! Keys that a block or its candidates will surely read, so that running again is rare.

use crate::{
    block::Block,
    build::{Candidates, MIN_TRANSACTION_GAS},
    execute::fee_recipient,
    header::Slot,
    nullifiers,
    registry::{REGISTRY, model_owner_slot, node_payee_slot},
    rules::Rules,
    state::Key,
    transaction::Transaction,
};
use alloy_consensus::Transaction as _;
use alloy_primitives::Address;
use og_types::{Header, SignedRecord};
use std::{collections::BTreeSet, ops::Deref};

/// Keys that [`execute`](crate::execute()) will read for `block`, sorted; none for block 1,
/// which starts from the empty state.
pub fn prefetch_block(rules: &Rules, parent: &Header, block: &Block) -> Vec<Key> {
    let transactions = block.decoded_transactions().unwrap_or_default();
    let recipient = fee_recipient(rules, block.header());
    prefetch(parent, recipient, transactions, block.records().iter())
}

/// Keys that [`build`](crate::build()) will read for those of `candidates` that there can be room for, sorted; none for
/// block 1.
pub fn prefetch_candidates(
    rules: &Rules,
    parent: &Header,
    slot: &Slot,
    candidates: &Candidates,
) -> Vec<Key> {
    let recipient = rules
        .validators()
        .get(&slot.proposer)
        .map(|seat| seat.fee_recipient)
        .unwrap_or_default();
    let room = rules.genesis().gas_limit / MIN_TRANSACTION_GAS;
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let transactions = &candidates.transactions;
    prefetch(
        parent,
        recipient,
        transactions.get(..room).unwrap_or(transactions),
        candidates.records.iter().map(Deref::deref),
    )
}

fn prefetch<'a>(
    parent: &Header,
    fee_recipient: Address,
    transactions: &[Transaction],
    records: impl Iterator<Item = &'a SignedRecord> + Clone,
) -> Vec<Key> {
    if parent.height == 0 {
        return Vec::new();
    }
    let mut keys = BTreeSet::from([Key::block_hash(parent.height), Key::account(fee_recipient)]);
    let expiries = records.clone().map(|signed| signed.record.valid_until_ms);
    keys.extend(nullifiers::keys(expiries));
    for transaction in transactions {
        keys.insert(Key::account(transaction.sender()));
        keys.extend(transaction.to().map(Key::account));
        let access_list = transaction.envelope().access_list();
        for item in access_list.map(|list| list.iter()).into_iter().flatten() {
            keys.insert(Key::account(item.address));
            let slots = item.storage_keys.iter();
            keys.extend(slots.map(|slot| Key::storage(item.address, (*slot).into())));
        }
    }
    for SignedRecord { record, .. } in records {
        keys.insert(Key::nullifier(record.request_id));
        keys.insert(Key::storage(REGISTRY, node_payee_slot(&record.node)));
        keys.insert(Key::storage(REGISTRY, model_owner_slot(&record.model)));
    }
    keys.into_iter().collect()
}

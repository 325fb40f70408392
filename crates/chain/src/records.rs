//! Which records a block may admit.
//!
//! Admission proves who said what, not that it is right: that is the tier's business, and each
//! tier adds its rule through one trait, [`TierRule`].

use crate::{
    nullifiers,
    registry::{REGISTRY, address_in, model_owner_slot, node_payee_slot},
    rules::Rules,
    state::{Attempt, Cache},
    view::{StateError, View},
};
use alloy_primitives::Address;
use og_crypto::keccak256;
use og_types::{
    Amount, Canonical as _, ModelId, NodeId, Record, RequestId, SignedRecord, Tier,
    limits::{MAX_RECORD_BYTES, MAX_VALIDITY_WINDOW_MS},
};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};

/// Format version of records.
pub const RECORD_VERSION: u16 = 1;
const BATCH_DOMAIN: &[u8] = b"_OG_RECORD_BATCH_V1";

/// Why a record cannot be admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// An unknown format.
    #[error("record.version is {0}, not {RECORD_VERSION}")]
    Version(u16),
    /// More than a record may have.
    #[error("the record has {0} bytes, more than {MAX_RECORD_BYTES}")]
    TooLong(usize),
    /// A record of another chain.
    #[error("record.chain_id is {found}, not {expected}")]
    ChainId {
        /// This chain.
        expected: u64,
        /// The record's.
        found: u64,
    },
    /// Evidence where the tier has none.
    #[error("record.evidence is given, but tier signed has none")]
    UnexpectedEvidence,
    /// A price, which this version cannot settle.
    #[error("record.price is {0}, but payments are not supported yet: it must be 0")]
    Price(Amount),
    /// A payer of nothing.
    #[error("record.payer is {0}, but the price is 0: it must be the zero address")]
    Payer(Address),
    /// The window ends before it begins, or is too long.
    #[error(
        "the record is valid from {from_ms} until {until_ms}: a window of 0 to {MAX_VALIDITY_WINDOW_MS} ms is allowed"
    )]
    Window {
        /// `valid_from_ms`.
        from_ms: u64,
        /// `valid_until_ms`.
        until_ms: u64,
    },
    /// It says that it finished before it began.
    #[error("record.finished_at_ms is {finished_ms}, before record.started_at_ms, {started_ms}")]
    FinishedBeforeStarted {
        /// `started_at_ms`.
        started_ms: u64,
        /// `finished_at_ms`.
        finished_ms: u64,
    },
    /// Not admissible at the block's time.
    #[error("the record is valid from {from_ms} until {until_ms}, the block's time is {block_ms}")]
    OutsideWindow {
        /// `valid_from_ms`.
        from_ms: u64,
        /// `valid_until_ms`.
        until_ms: u64,
        /// The block's `timestamp_ms`.
        block_ms: u64,
    },
    /// No such node.
    #[error("node {0} is not registered")]
    UnknownNode(NodeId),
    /// Somebody else is to be paid.
    #[error("record.payee is {found}, but node {node} is registered with {expected}")]
    Payee {
        /// The node.
        node: NodeId,
        /// Its registered payee.
        expected: Address,
        /// The record's.
        found: Address,
    },
    /// No such model.
    #[error("model {0} is not registered")]
    UnknownModel(ModelId),
    /// The request has been settled.
    #[error("request {0} has been settled by another record")]
    UsedRequest(RequestId),
    /// The node did not sign it.
    #[error("the signature of node {0} does not verify")]
    Signature(NodeId),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] StateError),
}

impl RecordError {
    /// Whether the record breaks a rule that neither state nor time decides: no block of this
    /// chain will ever admit it.
    pub const fn is_timeless(&self) -> bool {
        match self {
            Self::Version(_)
            | Self::TooLong(_)
            | Self::ChainId { .. }
            | Self::UnexpectedEvidence
            | Self::Price(_)
            | Self::Payer(_)
            | Self::Window { .. }
            | Self::FinishedBeforeStarted { .. }
            | Self::Signature(_) => true,
            Self::OutsideWindow { .. }
            | Self::UnknownNode(_)
            | Self::Payee { .. }
            | Self::UnknownModel(_)
            | Self::UsedRequest(_)
            | Self::State(_) => false,
        }
    }
}

/// What one tier demands of a record beyond what all records must have.
pub trait TierRule {
    /// The tier.
    fn tier(&self) -> Tier;
    /// Checks a record of this tier.
    ///
    /// # Errors
    /// [`RecordError`] says what the tier demands.
    fn check(&self, signed: &SignedRecord) -> Result<(), RecordError>;
}

/// Tier `signed`: the node's signature and nothing more.
#[derive(Clone, Copy, Debug)]
pub struct SignedTier;

impl TierRule for SignedTier {
    fn tier(&self) -> Tier {
        Tier::Signed
    }
    fn check(&self, signed: &SignedRecord) -> Result<(), RecordError> {
        if signed.record.evidence.is_some() {
            return Err(RecordError::UnexpectedEvidence);
        }
        Ok(())
    }
}

/// The rule of a tier. A tier without one does not compile, so every decoded record has one.
pub fn tier_rule(tier: Tier) -> &'static dyn TierRule {
    match tier {
        Tier::Signed => &SignedTier,
    }
}

/// Checks everything about a record that needs no state, no time and no cryptography.
///
/// # Errors
/// [`RecordError`] names the field.
pub fn check_fields(rules: &Rules, signed: &SignedRecord) -> Result<(), RecordError> {
    let record = &signed.record;
    if record.version != RECORD_VERSION {
        return Err(RecordError::Version(record.version));
    }
    let length = signed.to_bytes().len();
    if length > MAX_RECORD_BYTES {
        return Err(RecordError::TooLong(length));
    }
    if record.chain_id != rules.chain_id() {
        return Err(RecordError::ChainId {
            expected: rules.chain_id(),
            found: record.chain_id,
        });
    }
    if record.price.0 != 0 {
        return Err(RecordError::Price(record.price));
    }
    if !record.payer.is_zero() {
        return Err(RecordError::Payer(record.payer));
    }
    let window_ms = record.valid_until_ms.checked_sub(record.valid_from_ms);
    if window_ms.is_none_or(|window_ms| window_ms > MAX_VALIDITY_WINDOW_MS) {
        return Err(RecordError::Window {
            from_ms: record.valid_from_ms,
            until_ms: record.valid_until_ms,
        });
    }
    if record.finished_at_ms < record.started_at_ms {
        return Err(RecordError::FinishedBeforeStarted {
            started_ms: record.started_at_ms,
            finished_ms: record.finished_at_ms,
        });
    }
    tier_rule(record.tier).check(signed)
}

/// Checks that a record is admissible in a block of this time.
///
/// # Errors
/// [`RecordError::OutsideWindow`] if it is not.
pub fn check_time(record: &Record, block_ms: u64) -> Result<(), RecordError> {
    if (record.valid_from_ms..=record.valid_until_ms).contains(&block_ms) {
        return Ok(());
    }
    Err(RecordError::OutsideWindow {
        from_ms: record.valid_from_ms,
        until_ms: record.valid_until_ms,
        block_ms,
    })
}

/// Checks a record against the state: node, payee, model, request id.
fn check_state(view: &mut View<'_>, record: &Record) -> Result<(), RecordError> {
    // All are read before any is judged, so that one fetch brings what is missing.
    let payee = view.storage(REGISTRY, node_payee_slot(&record.node));
    let owner = view.storage(REGISTRY, model_owner_slot(&record.model));
    let is_used = nullifiers::is_used(view, record.request_id);
    let payee = address_in(payee?);
    if payee.is_zero() {
        return Err(RecordError::UnknownNode(record.node));
    }
    if payee != record.payee {
        return Err(RecordError::Payee {
            node: record.node,
            expected: payee,
            found: record.payee,
        });
    }
    if owner?.is_zero() {
        return Err(RecordError::UnknownModel(record.model));
    }
    if is_used? {
        return Err(RecordError::UsedRequest(record.request_id));
    }
    Ok(())
}

/// Admits one record into a block: every check but its signature's, then its nullifier.
pub(crate) fn admit(
    rules: &Rules,
    view: &mut View<'_>,
    signed: &SignedRecord,
    block_ms: u64,
    height: u64,
) -> Result<(), RecordError> {
    let record = &signed.record;
    check_fields(rules, signed)?;
    check_time(record, block_ms)?;
    check_state(view, record)?;
    nullifiers::remember(view, record.request_id, record.valid_until_ms, height)?;
    Ok(())
}

/// A record that is signed by its node, and that [`check_all`] found admissible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedRecord(pub(crate) SignedRecord);

impl std::ops::Deref for VerifiedRecord {
    type Target = SignedRecord;

    fn deref(&self) -> &SignedRecord {
        &self.0
    }
}

/// Checks records for the mempool: for each whether a block of this time on this state could admit it. Their signatures are
/// checked together, which takes half the time.
pub fn check_all(
    rules: &Rules,
    records: &[SignedRecord],
    block_ms: u64,
    cache: &Cache,
) -> Attempt<Vec<Result<VerifiedRecord, RecordError>>> {
    let mut view = View::new(cache);
    let mut check = |signed: &SignedRecord| {
        check_fields(rules, signed)?;
        check_time(&signed.record, block_ms)?;
        check_state(&mut view, &signed.record)
    };
    let checked: Vec<_> = records.iter().map(&mut check).collect();
    if let Some(keys) = view.missing() {
        return Attempt::Missing(keys);
    }
    let each = checked.iter().zip(records);
    let admissible: Vec<_> = each
        .filter(|(result, _)| result.is_ok())
        .map(|(_, signed)| signed.clone())
        .collect();
    let all_verify = signatures_verify(rules, &admissible);
    let verify = |signed: &SignedRecord| {
        if all_verify || rules.record_verifier().verify(signed) {
            return Ok(VerifiedRecord(signed.clone()));
        }
        Err(RecordError::Signature(signed.record.node))
    };
    let each = checked.into_iter().zip(records);
    Attempt::Done(
        each.map(|(result, signed)| result.and_then(|()| verify(signed)))
            .collect(),
    )
}

/// Whether every record is signed by its node, checked as one batch.
///
/// The weights that a batch needs are drawn from a hash of all records and all signatures
/// (Fiat-Shamir): they are fixed only after the signatures are, so nobody can choose signatures
/// that cancel out, and every validator draws the same.
pub(crate) fn signatures_verify(rules: &Rules, records: &[SignedRecord]) -> bool {
    let mut message = BATCH_DOMAIN.to_vec();
    for record in records {
        message.extend(record.to_bytes());
    }
    let seed = keccak256(&[&message]);
    let mut rng = ChaCha20Rng::from_seed(seed.0);
    rules.record_verifier().verify_batch(records, &mut rng)
}

/// The position of the first record that its node did not sign.
pub(crate) fn first_bad_signature(rules: &Rules, records: &[SignedRecord]) -> Option<usize> {
    records
        .iter()
        .position(|signed| !rules.record_verifier().verify(signed))
}

//! What a header must be, as far as its parent's header decides.

use crate::{fees::next_base_fee, rules::Rules};
use alloy_primitives::{Address, B256};
use og_crypto::block_hash;
use og_types::{BlockHash, Header, ValidatorId};

/// Format version of headers.
pub const HEADER_VERSION: u16 = 1;
/// Most that a block's time may be after its parent's, in milliseconds.
///
/// No validator's clock enters the rules, so this bounds how far a proposer can push time. After
/// a halt the chain's time catches up by this much per block.
pub const MAX_TIMESTAMP_STEP_MS: u64 = 60_000;

/// Where and when a block is proposed: what consensus tells a proposer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Epoch of consensus.
    pub epoch: u64,
    /// View within the epoch.
    pub view: u64,
    /// View in which the parent was proposed; 0 if that was in an earlier epoch.
    pub parent_view: u64,
    /// Who proposes.
    pub proposer: ValidatorId,
    /// Time of the proposal, Unix milliseconds (see [`Rules::proposal_time_ms`]).
    pub timestamp_ms: u64,
}

/// A header field that is not what the parent and the rules demand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// An unknown format.
    #[error("version is {0}, not {HEADER_VERSION}")]
    Version(u16),
    /// A block of another chain.
    #[error("chain_id is {found}, not {expected}")]
    ChainId {
        /// This chain.
        expected: u64,
        /// The header's.
        found: u64,
    },
    /// Not the parent's height plus one.
    #[error("height is {found}, the parent's is {parent}")]
    Height {
        /// The parent's.
        parent: u64,
        /// The header's.
        found: u64,
    },
    /// Another parent.
    #[error("parent is {found}, not {expected}")]
    Parent {
        /// Hash of the parent.
        expected: BlockHash,
        /// The header's.
        found: BlockHash,
    },
    /// Not the epoch of this height.
    #[error("epoch is {found}, this height belongs to {expected}")]
    Epoch {
        /// `height / epoch_length`.
        expected: u64,
        /// The header's.
        found: u64,
    },
    /// The views do not follow from the parent's.
    #[error("view {view} on parent view {parent_view} does not follow a parent of view {expected}")]
    View {
        /// The parent's view, 0 if it belongs to an earlier epoch.
        expected: u64,
        /// The header's.
        view: u64,
        /// The header's.
        parent_view: u64,
    },
    /// The proposer has no seat.
    #[error("proposer {0} has no seat")]
    Proposer(ValidatorId),
    /// The time is not after the parent's, or too far after it.
    #[error(
        "timestamp_ms is {found}: after {parent}, the parent's, by at most {MAX_TIMESTAMP_STEP_MS}"
    )]
    Timestamp {
        /// The parent's.
        parent: u64,
        /// The header's.
        found: u64,
    },
    /// Not the genesis file's limit.
    #[error("gas_limit is {found}, not {expected}")]
    GasLimit {
        /// The genesis file's.
        expected: u64,
        /// The header's.
        found: u64,
    },
    /// More gas used than allowed.
    #[error("gas_used is {found}, above the limit of {limit}")]
    GasUsed {
        /// The limit.
        limit: u64,
        /// The header's.
        found: u64,
    },
    /// Not what EIP-1559 gives.
    #[error("base_fee_per_gas is {found}, the parent gives {expected}")]
    BaseFee {
        /// What follows from the parent.
        expected: u64,
        /// The header's.
        found: u64,
    },
    /// Not the hash of the next epoch's validators.
    #[error("next_validators is {found}, not {expected}")]
    NextValidators {
        /// Hash of the set.
        expected: B256,
        /// The header's.
        found: B256,
    },
}

impl Rules {
    /// The time to propose after `parent` when the clock shows `now_ms`: the nearest that is valid.
    pub fn proposal_time_ms(&self, parent: &Header, now_ms: u64) -> u64 {
        let latest = if parent.height == 0 {
            u64::MAX
        } else {
            parent.timestamp_ms.saturating_add(MAX_TIMESTAMP_STEP_MS)
        };
        now_ms.clamp(parent.timestamp_ms.saturating_add(1), latest)
    }

    /// Checks everything about a header that its parent's header decides.
    ///
    /// Not checked here: `gas_used` and `receipts_root` ([`crate::execute()`]), the body's roots
    /// ([`Block::from_bytes`]), the state's root and log (the caller, against its database), and
    /// that consensus gave `proposer` this `view` (the caller, against its context).
    ///
    /// # Errors
    /// [`HeaderError`] names the field.
    pub fn check_header(&self, parent: &Header, header: &Header) -> Result<(), HeaderError> {
        if header.version != HEADER_VERSION {
            return Err(HeaderError::Version(header.version));
        }
        if header.chain_id != self.chain_id() {
            return Err(HeaderError::ChainId {
                expected: self.chain_id(),
                found: header.chain_id,
            });
        }
        if Some(header.height) != parent.height.checked_add(1) {
            return Err(HeaderError::Height {
                parent: parent.height,
                found: header.height,
            });
        }
        let expected = block_hash(parent);
        if header.parent != expected {
            return Err(HeaderError::Parent {
                expected,
                found: header.parent,
            });
        }
        self.check_slot(
            parent,
            &Slot {
                epoch: header.epoch,
                view: header.view,
                parent_view: header.parent_view,
                proposer: header.proposer,
                timestamp_ms: header.timestamp_ms,
            },
        )?;
        self.check_gas(parent, header)?;
        if header.next_validators != self.validators().hash() {
            return Err(HeaderError::NextValidators {
                expected: self.validators().hash(),
                found: header.next_validators,
            });
        }
        Ok(())
    }

    fn check_gas(&self, parent: &Header, header: &Header) -> Result<(), HeaderError> {
        if header.gas_limit != self.genesis().gas_limit {
            return Err(HeaderError::GasLimit {
                expected: self.genesis().gas_limit,
                found: header.gas_limit,
            });
        }
        if header.gas_used > header.gas_limit {
            return Err(HeaderError::GasUsed {
                limit: header.gas_limit,
                found: header.gas_used,
            });
        }
        let expected = next_base_fee(parent);
        if header.base_fee_per_gas != expected {
            return Err(HeaderError::BaseFee {
                expected,
                found: header.base_fee_per_gas,
            });
        }
        Ok(())
    }

    /// Checks where and when a block after `parent` is proposed, and gives its fee recipient.
    ///
    /// # Errors
    /// [`HeaderError`] names the field.
    pub fn check_slot(&self, parent: &Header, slot: &Slot) -> Result<Address, HeaderError> {
        let expected = self.epoch_of(parent.height.saturating_add(1));
        if slot.epoch != expected {
            return Err(HeaderError::Epoch {
                expected,
                found: slot.epoch,
            });
        }
        // Views are counted within an epoch, whose first block stands on view 0.
        let expected = if parent.epoch == slot.epoch {
            parent.view
        } else {
            0
        };
        if slot.parent_view != expected || slot.view <= slot.parent_view {
            return Err(HeaderError::View {
                expected,
                view: slot.view,
                parent_view: slot.parent_view,
            });
        }
        let nearest = self.proposal_time_ms(parent, slot.timestamp_ms);
        if slot.timestamp_ms <= parent.timestamp_ms || slot.timestamp_ms != nearest {
            return Err(HeaderError::Timestamp {
                parent: parent.timestamp_ms,
                found: slot.timestamp_ms,
            });
        }
        self.validators()
            .get(&slot.proposer)
            .map(|seat| seat.fee_recipient)
            .ok_or(HeaderError::Proposer(slot.proposer))
    }
}

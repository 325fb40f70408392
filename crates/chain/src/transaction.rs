//! An Ethereum transaction with its sender, checked as far as that needs no state.

use alloy_consensus::{
    Transaction as _, TxEnvelope, Typed2718 as _, transaction::SignerRecoverable as _,
};
use alloy_eips::eip2718::{Decodable2718 as _, Encodable2718 as _};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use og_types::limits::MAX_TRANSACTION_BYTES;
use rayon::prelude::*;
use revm::{
    context::{TxEnv, either::Either},
    context_interface::cfg::GasParams,
    primitives::{eip3860::MAX_INITCODE_SIZE, eip7825::TX_GAS_LIMIT_CAP, hardfork::SpecId},
};

/// The EVM's rules: the newest Ethereum fork that is live.
pub const EVM_FORK: SpecId = SpecId::OSAKA;
/// Most gas that one transaction may ask for (EIP-7825).
pub const MAX_TRANSACTION_GAS: u64 = TX_GAS_LIMIT_CAP;

const BLOB_TRANSACTION_TYPE: u8 = 3;
/// Least number of transactions worth a thread of their own: recovering their senders takes
/// several times as long as waking it.
const MIN_TRANSACTIONS_PER_THREAD: usize = 4;

/// Why bytes are not a transaction that this chain could ever include.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// More than [`MAX_TRANSACTION_BYTES`].
    #[error("oversized data: {0} bytes, at most {MAX_TRANSACTION_BYTES} are allowed")]
    TooLong(usize),
    /// A blob transaction (EIP-4844).
    #[error("transaction type not supported: this chain takes no blob transactions (EIP-4844)")]
    Blob,
    /// The bytes are no EIP-2718 transaction, or not its canonical encoding.
    #[error("rlp: {0}")]
    Encoding(String),
    /// Signed without a chain id, so it could be replayed anywhere.
    #[error("only replay-protected (EIP-155) transactions allowed: sign for a chain id")]
    Unprotected,
    /// Signed for another chain.
    #[error("invalid chain id: the transaction is signed for {found}, this chain is {expected}")]
    ChainId {
        /// This chain.
        expected: u64,
        /// What the transaction is signed for.
        found: u64,
    },
    /// The signature recovers to no key, or is malleable (EIP-2).
    #[error("invalid sender: the signature does not verify")]
    Signature,
    /// The tip is above the whole fee.
    #[error("max priority fee per gas higher than max fee per gas")]
    TipAboveFee,
    /// Asks for more gas than a transaction may.
    #[error(
        "transaction gas limit too high: {0} is above the cap of {MAX_TRANSACTION_GAS} (EIP-7825)"
    )]
    GasLimit(u64),
    /// Creates a contract with longer code than may be run for that (EIP-3860).
    #[error("max initcode size exceeded: code size {0}, limit {MAX_INITCODE_SIZE}")]
    InitCode(usize),
    /// Not enough gas to begin.
    #[error("intrinsic gas too low: gas {gas_limit}, minimum needed {minimum}")]
    IntrinsicGas {
        /// What the transaction offers.
        gas_limit: u64,
        /// What it takes before execution.
        minimum: u64,
    },
    /// An EIP-7702 transaction that authorizes nothing.
    #[error("EIP-7702 transaction with an empty authorization list")]
    NoAuthorization,
    /// The cost does not fit into 256 bits.
    #[error("insufficient funds for gas * price + value: the cost is beyond 2^256")]
    Cost,
}

/// A decoded transaction, its sender, its hash and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    envelope: TxEnvelope,
    sender: Address,
    hash: B256,
    raw: Bytes,
    maximum_cost: U256,
}

impl Transaction {
    /// Decodes an EIP-2718 transaction, recovers its sender and checks what needs no state.
    ///
    /// # Errors
    /// [`TransactionError`]; such a transaction can never be included on this chain.
    pub fn decode(raw: &[u8], chain_id: u64) -> Result<Self, TransactionError> {
        // Before its length: with a blob it is always too long, which is not why it is refused.
        if raw.first() == Some(&BLOB_TRANSACTION_TYPE) {
            return Err(TransactionError::Blob);
        }
        if raw.len() > MAX_TRANSACTION_BYTES {
            return Err(TransactionError::TooLong(raw.len()));
        }
        let envelope = TxEnvelope::decode_2718_exact(raw)
            .map_err(|error| TransactionError::Encoding(error.to_string()))?;
        if envelope.encoded_2718() != raw {
            return Err(TransactionError::Encoding(
                "not the canonical encoding".to_owned(),
            ));
        }
        check_chain_id(&envelope, chain_id)?;
        if envelope.is_create() && envelope.input().len() > MAX_INITCODE_SIZE {
            return Err(TransactionError::InitCode(envelope.input().len()));
        }
        let maximum_cost = check_gas_and_fees(&envelope)?;
        let sender = envelope
            .recover_signer()
            .map_err(|_| TransactionError::Signature)?;
        let transaction = Self {
            hash: *envelope.tx_hash(),
            envelope,
            sender,
            raw: Bytes::copy_from_slice(raw),
            maximum_cost,
        };
        transaction.check_intrinsic_gas()?;
        Ok(transaction)
    }

    /// Decodes each of `raws` as [`decode`](Self::decode) does, on all cores: recovering senders is
    /// most of the cost of a transfer. One result for each, in the same order.
    pub fn decode_all(raws: &[Bytes], chain_id: u64) -> Vec<Result<Self, TransactionError>> {
        raws.par_iter()
            .with_min_len(MIN_TRANSACTIONS_PER_THREAD)
            .map(|raw| Self::decode(raw, chain_id))
            .collect()
    }

    fn check_intrinsic_gas(&self) -> Result<(), TransactionError> {
        let needed = GasParams::new_spec(EVM_FORK).initial_tx_gas_for_tx(self.to_evm(), None);
        let minimum = needed.initial_total_gas().max(needed.floor_gas());
        if self.gas_limit() < minimum {
            return Err(TransactionError::IntrinsicGas {
                gas_limit: self.gas_limit(),
                minimum,
            });
        }
        Ok(())
    }

    /// What alloy decoded, for callers that need every field.
    pub const fn envelope(&self) -> &TxEnvelope {
        &self.envelope
    }

    /// Who signed it.
    pub const fn sender(&self) -> Address {
        self.sender
    }

    /// keccak256 of the raw bytes.
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// The raw bytes (EIP-2718).
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The sender's nonce.
    pub fn nonce(&self) -> u64 {
        self.envelope.nonce()
    }

    /// Most gas that it may use.
    pub fn gas_limit(&self) -> u64 {
        self.envelope.gas_limit()
    }

    /// Whom it calls, or `None` if it creates a contract.
    pub fn to(&self) -> Option<Address> {
        self.envelope.to()
    }

    /// EIP-2718 type.
    pub fn transaction_type(&self) -> u8 {
        self.envelope.ty()
    }

    /// Most it pays per gas, tip included.
    pub fn max_fee_per_gas(&self) -> u128 {
        self.envelope.max_fee_per_gas()
    }

    /// Most it tips per gas; the whole price for types without a base fee.
    pub fn max_tip_per_gas(&self) -> u128 {
        self.envelope
            .max_priority_fee_per_gas()
            .unwrap_or_else(|| self.max_fee_per_gas())
    }

    /// What the proposer gets per gas, or `None` if the base fee is not covered.
    pub fn tip_per_gas(&self, base_fee_per_gas: u64) -> Option<u128> {
        self.envelope.effective_tip_per_gas(base_fee_per_gas)
    }

    /// What it pays per gas at this base fee.
    pub fn effective_gas_price(&self, base_fee_per_gas: u64) -> u128 {
        self.envelope.effective_gas_price(Some(base_fee_per_gas))
    }

    /// Value and gas at the highest fee: what the sender must have.
    pub const fn maximum_cost(&self) -> U256 {
        self.maximum_cost
    }

    /// The transaction as the EVM takes it.
    pub(crate) fn to_evm(&self) -> TxEnv {
        TxEnv {
            tx_type: self.transaction_type(),
            caller: self.sender,
            gas_limit: self.gas_limit(),
            gas_price: self.max_fee_per_gas(),
            kind: self.to().map_or(TxKind::Create, TxKind::Call),
            value: self.envelope.value(),
            data: self.envelope.input().clone(),
            nonce: self.nonce(),
            chain_id: self.envelope.chain_id(),
            access_list: self.envelope.access_list().cloned().unwrap_or_default(),
            gas_priority_fee: self.envelope.max_priority_fee_per_gas(),
            blob_hashes: Vec::new(),
            max_fee_per_blob_gas: 0,
            authorization_list: self
                .envelope
                .authorization_list()
                .unwrap_or_default()
                .iter()
                .cloned()
                .map(Either::Left)
                .collect(),
        }
    }
}

fn check_chain_id(envelope: &TxEnvelope, expected: u64) -> Result<(), TransactionError> {
    match envelope.chain_id() {
        None => Err(TransactionError::Unprotected),
        Some(found) if found != expected => Err(TransactionError::ChainId { expected, found }),
        Some(_) => Ok(()),
    }
}

/// Checks gas and fees, and gives the most that the transaction can cost.
fn check_gas_and_fees(envelope: &TxEnvelope) -> Result<U256, TransactionError> {
    if envelope.gas_limit() > MAX_TRANSACTION_GAS {
        return Err(TransactionError::GasLimit(envelope.gas_limit()));
    }
    let max_fee = envelope.max_fee_per_gas();
    if envelope
        .max_priority_fee_per_gas()
        .is_some_and(|tip| tip > max_fee)
    {
        return Err(TransactionError::TipAboveFee);
    }
    if envelope.is_eip7702() && envelope.authorization_list().is_none_or(<[_]>::is_empty) {
        return Err(TransactionError::NoAuthorization);
    }
    U256::from(envelope.gas_limit())
        .checked_mul(U256::from(max_fee))
        .and_then(|fee| fee.checked_add(envelope.value()))
        .ok_or(TransactionError::Cost)
}

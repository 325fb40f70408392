//! Accounts that send transactions.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_signer::SignerSync as _;
use alloy_signer_local::PrivateKeySigner;
use anyhow::Context as _;

/// Most that is paid per gas, and the tip, in the token's smallest unit: base fees rise under load and the accounts are
/// rich.
const MAX_FEE: u128 = 1_000_000_000_000;
const PRIORITY_FEE: u128 = 1_000_000_000;
/// Gas of a transfer to an account without code.
pub(super) const TRANSFER_GAS: u64 = 21_000;

/// Accounts with their keys, each with the nonce of its next transaction.
pub(super) struct Senders {
    chain_id: u64,
    accounts: Vec<(PrivateKeySigner, u64)>,
}

/// What a transaction does.
pub(super) struct Action {
    pub(super) to: TxKind,
    pub(super) value: u64,
    pub(super) input: Bytes,
    pub(super) gas_limit: u64,
}

impl Action {
    /// A transfer of the least amount.
    pub(super) const fn transfer(to: Address) -> Self {
        Self {
            to: TxKind::Call(to),
            value: 1,
            input: Bytes::new(),
            gas_limit: TRANSFER_GAS,
        }
    }

    /// A call of a contract.
    pub(super) const fn call(contract: Address, input: Bytes, gas_limit: u64) -> Self {
        Self {
            to: TxKind::Call(contract),
            value: 0,
            input,
            gas_limit,
        }
    }
}

impl Senders {
    /// Accounts that have sent nothing yet.
    pub(super) fn new(chain_id: u64, signers: impl IntoIterator<Item = PrivateKeySigner>) -> Self {
        Self {
            chain_id,
            accounts: signers.into_iter().map(|signer| (signer, 0)).collect(),
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.accounts.len()
    }

    pub(super) fn addresses(&self) -> Vec<Address> {
        let accounts = self.accounts.iter();
        accounts.map(|(signer, _)| signer.address()).collect()
    }

    /// Account number `index`, counted around.
    pub(super) fn address(&self, index: usize) -> Address {
        let account = self.accounts.get(index % self.len().max(1));
        account.map_or(Address::ZERO, |(signer, _)| signer.address())
    }

    /// The nonce of the next transaction of account number `index`.
    pub(super) fn nonce(&self, index: usize) -> u64 {
        self.accounts.get(index).map_or(0, |(_, nonce)| *nonce)
    }

    /// The next transaction of account number `index`, counted around, signed.
    pub(super) fn sign(&mut self, index: usize, action: Action) -> anyhow::Result<Bytes> {
        let index = index % self.len().max(1);
        let (signer, nonce) = self.accounts.get_mut(index).context("no accounts")?;
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce: *nonce,
            gas_limit: action.gas_limit,
            max_fee_per_gas: MAX_FEE,
            max_priority_fee_per_gas: PRIORITY_FEE,
            to: action.to,
            value: U256::from(action.value),
            input: action.input,
            ..TxEip1559::default()
        };
        let signature = signer.sign_hash_sync(&transaction.signature_hash())?;
        *nonce += 1;
        let raw = TxEnvelope::from(transaction.into_signed(signature)).encoded_2718();
        Ok(raw.into())
    }
}

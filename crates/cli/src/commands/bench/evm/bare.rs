//! The EVM alone, in this process and in memory: what the same transactions cost without a chain around.

use crate::commands::bench::load::Load;
use alloy_consensus::{
    Transaction as _, TxEnvelope, Typed2718 as _, transaction::SignerRecoverable as _,
};
use alloy_eips::eip2718::Decodable2718 as _;
use alloy_primitives::{Address, Bytes, TxKind, U256};
use anyhow::{Context as _, ensure};
use og_chain::transaction::EVM_FORK;
use revm::{
    Context, ExecuteCommitEvm as _, MainBuilder as _,
    context::{BlockEnv, CfgEnv, TxEnv},
    database::InMemoryDB,
    handler::MainnetContext,
    state::AccountInfo,
};
use std::time::Instant;

/// A state in memory, and the rules of the chain that it stands beside.
pub(super) struct Bare {
    chain_id: u64,
    gas_limit: u64,
    database: InMemoryDB,
}

impl Bare {
    /// A state in which each of `accounts` has `balance`.
    pub(super) fn new(
        chain_id: u64,
        gas_limit: u64,
        accounts: impl IntoIterator<Item = Address>,
        balance: U256,
    ) -> Self {
        let mut database = InMemoryDB::default();
        for account in accounts {
            database.insert_account_info(account, AccountInfo::from_balance(balance));
        }
        Self {
            chain_id,
            gas_limit,
            database,
        }
    }

    /// Executes `transactions` one after another: decoded and their senders known already.
    pub(super) fn execute(&mut self, transactions: &[Bytes]) -> anyhow::Result<Load> {
        let decoded = transactions.iter().map(|raw| decode(raw));
        let decoded = decoded.collect::<anyhow::Result<Vec<_>>>()?;
        self.run(decoded.into_iter().map(Ok))
    }

    /// Decodes `transactions`, recovers their senders and executes them, each before the next; then forgets what they did.
    pub(super) fn try_signed(&self, transactions: &[Bytes]) -> anyhow::Result<Load> {
        let mut copy = Self {
            database: self.database.clone(),
            ..*self
        };
        copy.run(transactions.iter().map(|raw| decode(raw)))
    }

    fn run(
        &mut self,
        transactions: impl Iterator<Item = anyhow::Result<TxEnv>>,
    ) -> anyhow::Result<Load> {
        let block = BlockEnv {
            gas_limit: self.gas_limit,
            prevrandao: Some(Default::default()),
            ..BlockEnv::default()
        };
        let context: MainnetContext<&mut InMemoryDB> = Context::new(&mut self.database, EVM_FORK);
        let configuration = CfgEnv::new_with_spec(EVM_FORK).with_chain_id(self.chain_id);
        let mut evm = context
            .with_cfg(configuration)
            .with_block(block)
            .build_mainnet();
        let mut gas = 0;
        let started = Instant::now();
        for transaction in transactions {
            let result = evm
                .transact_commit(transaction?)
                .context("the bare EVM refuses a transaction")?;
            ensure!(result.is_success(), "a transaction failed in the bare EVM");
            gas += result.tx_gas_used();
        }
        Ok(Load {
            seconds: started.elapsed().as_secs_f64(),
            gas,
            blocks: 0,
        })
    }

    #[cfg(test)]
    pub(super) fn balance(&mut self, account: Address) -> U256 {
        use revm::Database as _;
        let info = self.database.basic(account).unwrap();
        info.unwrap_or_default().balance
    }
}

/// A signed transaction as the EVM takes it.
fn decode(raw: &[u8]) -> anyhow::Result<TxEnv> {
    let envelope = TxEnvelope::decode_2718_exact(raw)?;
    Ok(TxEnv {
        tx_type: envelope.ty(),
        caller: envelope.recover_signer()?,
        gas_limit: envelope.gas_limit(),
        gas_price: envelope.max_fee_per_gas(),
        gas_priority_fee: envelope.max_priority_fee_per_gas(),
        kind: envelope.to().map_or(TxKind::Create, TxKind::Call),
        value: envelope.value(),
        data: envelope.input().clone(),
        nonce: envelope.nonce(),
        chain_id: envelope.chain_id(),
        ..TxEnv::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::bench::{
        senders::Senders,
        workload::{Contracts, SPREAD, Workload, grown_account},
    };
    use alloy_signer_local::PrivateKeySigner;

    /// Five accounts, the contracts made, and tokens given out.
    fn ready() -> (Senders, Contracts, Bare) {
        let signers = (1..=5).map(|key| PrivateKeySigner::from_slice(&[key; 32]).unwrap());
        let mut senders = Senders::new(7, signers);
        let balance = U256::from(10).pow(U256::from(22));
        let mut bare = Bare::new(7, 30_000_000, senders.addresses(), balance);
        let (contracts, setup) = Contracts::create(&mut senders).unwrap();
        bare.execute(&setup).unwrap();
        (senders, contracts, bare)
    }

    #[test]
    fn workloads_use_the_gas_that_they_say() {
        let (mut senders, contracts, mut bare) = ready();
        for workload in Workload::ALL {
            let transactions = workload.transactions(&contracts, &mut senders, 20).unwrap();
            let signed = bare.try_signed(&transactions).unwrap();
            let load = bare.execute(&transactions).unwrap();
            assert_eq!(signed.gas, load.gas);
            assert!(
                (19_500_000..31_000_000).contains(&load.gas),
                "{workload:?}: {}",
                load.gas
            );
            // Three calls that hash fit a block.
            let largest = load.gas / u64::try_from(transactions.len()).unwrap();
            assert!(largest < 10_000_000, "{workload:?}: {largest}");
        }
    }

    #[test]
    fn growing_makes_accounts_with_one_unit_each_in_half_a_block() {
        let (mut senders, contracts, mut bare) = ready();
        let spread = senders.sign(0, contracts.spread(17, SPREAD)).unwrap();
        let load = bare.execute(&[spread]).unwrap();
        assert!((14_000_000..15_000_000).contains(&load.gas), "{}", load.gas);
        let balance = |bare: &mut Bare, index| bare.balance(grown_account(index));
        assert_eq!(balance(&mut bare, 16), U256::ZERO);
        assert_eq!(balance(&mut bare, 17), U256::from(1));
        assert_eq!(balance(&mut bare, 16 + SPREAD), U256::from(1));
        assert_eq!(balance(&mut bare, 17 + SPREAD), U256::ZERO);
    }
}

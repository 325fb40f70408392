//! Whether blocks take longer, and a node longer to start, when the state has many accounts.

use crate::{
    commands::bench::{
        figure::Figure,
        load::{MOST_WAITING, drive, drive_steadily, wait_for_low_fees},
        senders::{Action, TRANSFER_GAS},
        testbed::Testbed,
        workload::{Contracts, SPREAD, grown_account},
    },
    output::{Output, Progress},
};
use alloy_primitives::{Bytes, U256};
use anyhow::{Context as _, ensure};
use rand::RngExt as _;
use serde_json::json;

/// Accounts that are made before anyone waits for them to be final.
const STEP: u64 = 40_000;
/// Transfers a second of a steady load, and how many are sent so.
const STEADY_PER_SECOND: u32 = 1000;
const STEADY_TRANSFERS: u64 = 5000;
/// The small state that the large one is compared with.
pub(super) const FEW_ACCOUNTS: u32 = 1000;

/// A state that grows.
pub(super) struct Growth<'a> {
    pub(super) testbed: &'a mut Testbed,
    pub(super) contracts: Contracts,
    /// Accounts made so far.
    pub(super) accounts: u64,
}

impl Growth<'_> {
    /// Grows the state to `accounts` and measures it in rounds.
    pub(super) async fn measure(
        &mut self,
        accounts: u32,
        rounds: u32,
        mgas: u32,
        progress: &Progress,
        output: &Output,
    ) -> anyhow::Result<()> {
        self.grow(u64::from(accounts), progress).await?;
        let mut measured = Vec::new();
        for round in 1..=rounds {
            progress.set(format!("{accounts} accounts, round {round} of {rounds}"));
            let transfers = self.cold_transfers(STEADY_TRANSFERS)?;
            wait_for_low_fees(self.testbed.validator()?).await?;
            let steady = &self.testbed.validators;
            let steady = drive_steadily(steady, &transfers, STEADY_PER_SECOND).await?;
            let count = (u64::from(mgas) * 1_000_000).div_ceil(TRANSFER_GAS);
            let transfers = self.cold_transfers(count)?;
            wait_for_low_fees(self.testbed.validator()?).await?;
            let load = drive(&self.testbed.validators, &transfers, MOST_WAITING).await?;
            let restart = self.testbed.restart().await?;
            measured.push(vec![
                ("block_time", steady.milliseconds_per_block(), "ms"),
                ("block_time_full", load.milliseconds_per_block(), "ms"),
                ("cold_transfers", load.mgas_per_second(), "Mgas/s"),
                ("node_restart", restart, "s"),
            ]);
        }
        for figure in Figure::summarise(&measured) {
            output.item(&figure.with_accounts(accounts))?;
        }
        Ok(())
    }

    async fn grow(&mut self, accounts: u64, progress: &Progress) -> anyhow::Result<()> {
        while self.accounts < accounts {
            progress.set(format!("{} of {accounts} accounts", self.accounts));
            let step = STEP.min(accounts - self.accounts);
            let transactions = self.spread(step)?;
            wait_for_low_fees(self.testbed.validator()?).await?;
            drive(&self.testbed.validators, &transactions, MOST_WAITING).await?;
        }
        self.check().await
    }

    /// The transactions that make `count` more accounts.
    fn spread(&mut self, count: u64) -> anyhow::Result<Vec<Bytes>> {
        let mut transactions = Vec::new();
        let last = self.accounts + count;
        while self.accounts < last {
            let count = SPREAD.min(last - self.accounts);
            let action = self.contracts.spread(self.accounts, count);
            transactions.push(self.testbed.senders.sign(transactions.len(), action)?);
            self.accounts += count;
        }
        Ok(transactions)
    }

    /// Fails if the last account is not there: then the state is smaller than it says.
    async fn check(&self) -> anyhow::Result<()> {
        let last = grown_account(self.accounts.saturating_sub(1));
        let validator = self.testbed.validator()?;
        let balance: U256 = validator
            .call("eth_getBalance", json!([last, "latest"]))
            .await?;
        ensure!(
            !balance.is_zero(),
            "the state did not grow: {last} has nothing"
        );
        Ok(())
    }

    /// So many transfers to accounts of the state, drawn at random.
    fn cold_transfers(&mut self, count: u64) -> anyhow::Result<Vec<Bytes>> {
        let senders = &mut self.testbed.senders;
        (0..usize::try_from(count).context("too many transfers")?)
            .map(|index| {
                let to = grown_account(rand::rng().random_range(0..self.accounts));
                senders.sign(index, Action::transfer(to))
            })
            .collect()
    }
}

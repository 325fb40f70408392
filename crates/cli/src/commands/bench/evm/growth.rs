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
/// Steady loads: what the time per block is called, and transfers a second.
const STEADY: [(&str, u32); 2] = [("block_time", 1000), ("block_time_busy", 5000)];
/// How long a steady load goes on, in seconds.
const STEADY_SECONDS: u32 = 4;
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
            let mut samples = Vec::new();
            for (name, per_second) in STEADY {
                let transfers = self.cold_transfers(u64::from(per_second * STEADY_SECONDS))?;
                wait_for_low_fees(self.testbed.validator()?).await?;
                let nodes = &self.testbed.validators;
                let load = drive_steadily(nodes, &transfers, per_second).await?;
                samples.push((name, load.milliseconds_per_block(), "ms"));
            }
            let count = (u64::from(mgas) * 1_000_000).div_ceil(TRANSFER_GAS);
            let transfers = self.cold_transfers(count)?;
            wait_for_low_fees(self.testbed.validator()?).await?;
            let load = drive(&self.testbed.validators, &transfers, MOST_WAITING).await?;
            let restart = self.testbed.restart().await?;
            samples.extend([
                ("cold_transfers", load.mgas_per_second(), "Mgas/s"),
                ("node_restart", restart, "s"),
            ]);
            measured.push(samples);
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

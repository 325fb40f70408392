//! Gas per second: in blocks that are final, in the EVM alone, and in anvil.

mod anvil;
mod bare;
mod growth;

use super::{
    figure::{Figure, Sample},
    load::{Load, MOST_WAITING, MOST_WAITING_OF_ONE, drive, wait_for_low_fees},
    testbed::Testbed,
    workload::{Contracts, Workload},
};
use crate::output::Output;
use anvil::Anvil;
use anyhow::ensure;
use bare::Bare;
use growth::{FEW_ACCOUNTS, Growth};
use std::path::PathBuf;

/// Accounts that send.
pub(super) const ACCOUNTS: u16 = 200;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct EvmArgs {
    /// evm: gas that each workload uses in a round, in millions.
    #[arg(long, value_name = "MILLIONS", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=1200))]
    mgas: u32,
    /// evm: measure this program of anvil beside.
    #[arg(long, value_name = "FILE")]
    anvil: Option<PathBuf>,
    /// evm: then grow the state to so many accounts, and see what that does to blocks and to the start of a node.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2000..=100_000_000))]
    accounts: Option<u32>,
}

impl EvmArgs {
    /// Measures all workloads, and then what many accounts change.
    pub(super) async fn measure(
        &self,
        rounds: u32,
        validators: u16,
        output: &Output,
    ) -> anyhow::Result<()> {
        let progress = output.progress("starting the network");
        let mut comparison = Comparison::start(self, validators, output).await?;
        output.item(&comparison.testbed.ready())?;
        for workload in Workload::ALL {
            let mut measured = Vec::new();
            for round in 1..=rounds {
                progress.set(format!("{workload:?}, round {round} of {rounds}"));
                measured.push(comparison.round(workload, self.mgas).await?);
            }
            for figure in Figure::summarise(&measured) {
                output.item(&figure)?;
            }
        }
        let Comparison {
            mut testbed,
            contracts,
            ..
        } = comparison;
        if let Some(accounts) = self.accounts {
            let mut growth = Growth {
                testbed: &mut testbed,
                contracts,
                accounts: 0,
            };
            for accounts in [FEW_ACCOUNTS, accounts] {
                growth
                    .measure(accounts, rounds, self.mgas, &progress, output)
                    .await?;
            }
        }
        if let Some(figure) = testbed.memory() {
            output.item(&figure)?;
        }
        Ok(())
    }
}

/// A network, and what it is compared with: all have the same accounts and contracts, and get the same transactions.
struct Comparison {
    testbed: Testbed,
    contracts: Contracts,
    bare: Bare,
    anvil: Option<Anvil>,
}

impl Comparison {
    async fn start(args: &EvmArgs, validators: u16, output: &Output) -> anyhow::Result<Self> {
        let mut testbed = Testbed::start(validators, ACCOUNTS, output).await?;
        let (chain_id, gas_limit) = (testbed.chain_id, testbed.gas_limit);
        let accounts = testbed.senders.addresses();
        let balance = testbed.balance().await?;
        let mut bare = Bare::new(chain_id, gas_limit, accounts.clone(), balance);
        let anvil = match &args.anvil {
            Some(program) => {
                Some(Anvil::start(program, chain_id, gas_limit, &accounts, balance).await?)
            }
            None => None,
        };
        let (contracts, setup) = Contracts::create(&mut testbed.senders)?;
        bare.execute(&setup)?;
        drive(&testbed.validators, &setup, MOST_WAITING_OF_ONE).await?;
        if let Some(anvil) = &anvil {
            anvil.drive(&setup, MOST_WAITING_OF_ONE).await?;
        }
        Ok(Self {
            testbed,
            contracts,
            bare,
            anvil,
        })
    }

    /// One workload on each, one after another.
    async fn round(&mut self, workload: Workload, mgas: u32) -> anyhow::Result<Vec<Sample>> {
        let senders = &mut self.testbed.senders;
        let transactions = workload.transactions(&self.contracts, senders, mgas)?;
        wait_for_low_fees(self.testbed.validator()?).await?;
        let ours = drive(&self.testbed.validators, &transactions, MOST_WAITING).await?;
        self.testbed.check()?;
        let signed = self.bare.try_signed(&transactions)?;
        let bare = self.bare.execute(&transactions)?;
        check_gas("the network", &ours, &bare)?;
        let names = Names::of(workload);
        let mut samples = vec![
            (names.ours, ours.mgas_per_second(), "Mgas/s"),
            (names.bare, bare.mgas_per_second(), "Mgas/s"),
            (names.signed, signed.mgas_per_second(), "Mgas/s"),
            (
                names.ratio,
                ours.mgas_per_second() / signed.mgas_per_second(),
                "ratio",
            ),
        ];
        if let Some(anvil) = &self.anvil {
            let load = anvil.drive(&transactions, MOST_WAITING).await?;
            check_gas("anvil", &load, &bare)?;
            samples.push((names.anvil, load.mgas_per_second(), "Mgas/s"));
        }
        Ok(samples)
    }
}

/// Fails if two of those that are compared did not do the same work.
fn check_gas(who: &str, load: &Load, bare: &Load) -> anyhow::Result<()> {
    ensure!(
        load.gas == bare.gas,
        "{who} used {} gas for what takes {} in the bare EVM: transactions failed",
        load.gas,
        bare.gas
    );
    Ok(())
}

/// Names of one workload's figures.
struct Names {
    ours: &'static str,
    bare: &'static str,
    signed: &'static str,
    ratio: &'static str,
    anvil: &'static str,
}

impl Names {
    const fn of(workload: Workload) -> Self {
        match workload {
            Workload::Transfers => Self {
                ours: "evm_transfers",
                bare: "evm_transfers_bare",
                signed: "evm_transfers_bare_signed",
                ratio: "evm_transfers_ratio",
                anvil: "evm_transfers_anvil",
            },
            Workload::Token => Self {
                ours: "evm_token",
                bare: "evm_token_bare",
                signed: "evm_token_bare_signed",
                ratio: "evm_token_ratio",
                anvil: "evm_token_anvil",
            },
            Workload::Compute => Self {
                ours: "evm_compute",
                bare: "evm_compute_bare",
                signed: "evm_compute_bare_signed",
                ratio: "evm_compute_ratio",
                anvil: "evm_compute_anvil",
            },
        }
    }
}

//! `og tx receipt`: what became of a transaction.

use crate::{
    amount::{gwei, opg},
    client::{Rpc, RpcArgs, Settled},
    failure::failure,
    output::{BAD, GOOD, Output, paint},
};
use alloy_primitives::B256;
use serde::Serialize;
use std::fmt;

/// Show what became of a transaction; wait for it if it is not final yet.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og tx receipt 0x9fc76417374aa880d4449a1f7f31ec597f00b1f6f3dd2d66f4c9c6c445836d8b
  og tx receipt 0x9fc76417374aa880d4449a1f7f31ec597f00b1f6f3dd2d66f4c9c6c445836d8b --json

With --json you get the receipt as JSON-RPC has it.")]
pub(super) struct Receipt {
    /// The transaction's hash.
    #[arg(value_name = "HASH")]
    hash: B256,
    #[command(flatten)]
    network: RpcArgs,
}

impl Receipt {
    pub(super) async fn run(self, output: &Output) -> anyhow::Result<()> {
        let rpc = self.network.rpc()?;
        if rpc.transaction(self.hash).await?.is_none() {
            return Err(failure(
                format!("this validator knows no transaction {}", self.hash),
                "check the hash and the network; old ones are known to validators with archive = true",
            ));
        }
        output.result(&settle(&rpc, self.hash, output).await?)
    }
}

/// A transaction that a validator has taken.
#[derive(Serialize)]
pub(super) struct Submitted {
    #[serde(rename = "transactionHash")]
    pub(super) hash: B256,
}

impl fmt::Display for Submitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "sent {}", self.hash)?;
        write!(f, "not final yet: og tx receipt {}", self.hash)
    }
}

/// Waits until a transaction is final, and says so meanwhile.
pub(super) async fn settle(rpc: &Rpc, hash: B256, output: &Output) -> anyhow::Result<Settled> {
    let progress = output.progress(format!("waiting until {hash} is final"));
    let settled = rpc.settle(hash).await;
    drop(progress);
    settled
}

impl fmt::Display for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            receipt,
            transaction,
            ..
        } = self;
        let outcome = match (receipt.succeeded(), &self.why_reverted) {
            (true, _) => paint(GOOD, "succeeded"),
            (false, None) => paint(BAD, "was reverted"),
            (false, Some(reason)) => format!("{}: {reason}", paint(BAD, "was reverted")),
        };
        writeln!(f, "transaction {} {outcome}", transaction.hash)?;
        writeln!(f, "  block    {}, final", receipt.block_number)?;
        writeln!(f, "  from     {}", transaction.from)?;
        if let Some(to) = transaction.to {
            writeln!(f, "  to       {to}")?;
        }
        if let Some(contract) = receipt.contract_address {
            writeln!(f, "  created  {contract}")?;
        }
        writeln!(f, "  value    {}", opg(transaction.value))?;
        writeln!(f, "  gas      {} of {}", receipt.gas_used, transaction.gas)?;
        let price = receipt.effective_gas_price;
        let fee = receipt.gas_used.saturating_mul(price);
        write!(f, "  fee      {} ({} per gas)", opg(fee), gwei(price))?;
        for log in &receipt.logs {
            write!(f, "\n  event    of {}", log.address)?;
            for topic in &log.topics {
                write!(f, "\n    topic  {topic}")?;
            }
            write!(f, "\n    data   {}", log.data)?;
        }
        Ok(())
    }
}

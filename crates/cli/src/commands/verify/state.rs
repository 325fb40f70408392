//! `og verify state`: ask a validator what an account has, and believe only what its proof shows.

use super::{AnchorArgs, text};
use crate::{
    amount::opg,
    client::RpcArgs,
    commands::tx::address,
    failure::failure,
    output::{GOOD, Output, QUIET, TITLE, paint},
};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use og_types::{BlockHash, ValidatorId};
use og_verify::{Line, ProvenState, Status, verify_state};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Ask a validator what an account has, and judge its proof offline.
///
/// The validator need not be trusted: what is shown follows from a block that a quorum of the seats
/// in the trusted file signed. The exit code is 0 only if all of it does.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og verify state 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --genesis devnet/genesis.json
  og verify state 0x5FbDB2315678afecb367f032d93F642f64180aa3 0 0x1f --rpc http://10.0.0.1:8545 \\
      --genesis genesis.json

The state is that after a block, whose age is shown: what changed since is not known from the proof.")]
pub(super) struct State {
    /// The account or contract.
    #[arg(value_name = "ADDRESS", value_parser = address)]
    address: Address,
    /// Slots of the contract's storage, in decimal or as 0x and hexadecimal digits.
    #[arg(value_name = "SLOT")]
    slots: Vec<U256>,
    #[command(flatten)]
    anchor: AnchorArgs,
    #[command(flatten)]
    network: RpcArgs,
}

/// The part of a validator's answer that is not merely its word.
#[derive(Deserialize)]
struct Answer {
    proof: Bytes,
}

/// What was proven.
#[derive(Serialize)]
struct Proven {
    valid: bool,
    address: Address,
    balance: U256,
    nonce: u64,
    code_hash: B256,
    storage: Vec<Slot>,
    block: BlockHash,
    height: u64,
    timestamp_ms: u64,
    signers: Vec<ValidatorId>,
}

#[derive(Serialize)]
struct Slot {
    slot: U256,
    value: B256,
}

impl State {
    pub(super) async fn run(self, output: &Output) -> anyhow::Result<()> {
        let anchor = self.anchor.read()?;
        let asked = json!([self.address, self.slots]);
        let answer: Answer = self.network.rpc()?.call("og_getProof", asked).await?;
        let proven = verify_state(&answer.proof, &anchor).map_err(|error| {
            failure(
                format!("the proof does not verify: {error}"),
                "do not rely on this validator: ask another, and check that the trusted file is the network's own",
            )
        })?;
        let proven = self.read(&proven).ok_or_else(|| {
            failure(
                "the validator proves something else than was asked for",
                "do not rely on it: ask another",
            )
        })?;
        output.result(&proven)
    }

    /// What was asked for, out of what was proven.
    fn read(&self, proven: &ProvenState) -> Option<Proven> {
        let account = proven.account(self.address)?;
        let storage = self.slots.iter().map(|slot| {
            Some(Slot {
                slot: *slot,
                value: proven.storage(self.address, *slot)?,
            })
        });
        Some(Proven {
            valid: true,
            address: self.address,
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            storage: storage.collect::<Option<_>>()?,
            block: proven.block,
            height: proven.header.height,
            timestamp_ms: proven.header.timestamp_ms,
            signers: proven.signers.clone(),
        })
    }
}

impl Proven {
    fn lines(&self) -> Vec<Line> {
        let line = |status, subject: &str, detail| Line {
            status,
            subject: subject.to_owned(),
            detail,
        };
        let Self { block, height, .. } = self;
        let block = format!("{block} at height {height} is final");
        let entries = 1 + self.storage.len();
        let code = if self.code_hash == KECCAK256_EMPTY {
            "none".to_owned()
        } else {
            format!("keccak256 {}", self.code_hash)
        };
        let mut lines = vec![
            line(Status::Checked, "block", block),
            line(
                Status::Checked,
                "proof",
                format!("{entries} values follow from its state root"),
            ),
            line(Status::Vouched, "balance", opg(self.balance)),
            line(Status::Vouched, "nonce", self.nonce.to_string()),
            line(Status::Vouched, "code", code),
        ];
        for Slot { slot, value } in &self.storage {
            let subject = format!("slot {slot}");
            lines.push(line(Status::Vouched, &subject, value.to_string()));
        }
        lines
    }

    /// How long ago the block was made, by this machine's clock.
    fn age(&self) -> Duration {
        let made = UNIX_EPOCH + Duration::from_millis(self.timestamp_ms);
        SystemTime::now().duration_since(made).unwrap_or_default()
    }
}

impl fmt::Display for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.lines() {
            writeln!(f, "{}", text(&line))?;
        }
        writeln!(f, "{}", paint(TITLE, "signed by"))?;
        for signer in &self.signers {
            writeln!(f, "  {signer}")?;
        }
        let limit = format!(
            "This was the state of {} after a block that is {} s old.",
            self.address,
            self.age().as_secs()
        );
        writeln!(f, "{}", paint(QUIET, limit))?;
        write!(f, "{}", paint(GOOD, "The proof verifies."))
    }
}

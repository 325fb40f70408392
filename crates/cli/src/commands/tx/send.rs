//! `og tx send`: transfer OPG, or call a contract and change something.

use super::{
    Input, abi,
    account::AccountArgs,
    address,
    receipt::{Submitted, settle},
};
use crate::{
    amount,
    client::{Draft, RpcArgs, Terms},
    failure::failure,
    output::Output,
};
use alloy_primitives::{Address, U256};

/// Send OPG to an account, or call a contract, and wait until that is final.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og tx send --to 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --value 1.5opg
  og tx send --to 0x5FbDB2315678afecb367f032d93F642f64180aa3 'transfer(address,uint256)' \\
      0x70997970C51812dc3A010C7d01b50e0d17dc79C8 1000 --account 3
  og tx send --to 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --value 20gwei \\
      --rpc http://10.0.0.1:8545 --key account.key
  og tx send --to 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --value 1wei \\
      --nonce 7 --gas-price 30gwei --priority-gas-price 2gwei

A unit is opg (10^18 wei), gwei (10^9 wei) or wei. A key file holds 64 hexadecimal digits; keep it
to yourself (chmod 600). Keys are never taken from the command line, where others could see them.")]
pub(super) struct Send {
    /// Account or contract that it goes to.
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    to: Address,
    /// What it gets, with its unit: 1.5opg, 20gwei, 100wei.
    #[arg(long, value_name = "AMOUNT", default_value = "0wei", value_parser = amount::parse)]
    value: U256,
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    terms: Terms,
    #[command(flatten)]
    account: AccountArgs,
    #[command(flatten)]
    network: RpcArgs,
    /// Return when the validator has taken it, before it is final.
    #[arg(long)]
    no_wait: bool,
}

impl Send {
    pub(super) async fn run(self, output: &Output) -> anyhow::Result<()> {
        let (input, _) = abi::input(&self.input)?;
        if self.value.is_zero() && input.is_empty() {
            return Err(failure(
                "nothing to send",
                "say how much with --value, or what to call: 'transfer(address,uint256)' with its arguments",
            ));
        }
        let signer = self.account.signer(&self.network)?;
        let draft = Draft {
            to: self.to.into(),
            value: self.value,
            input,
            terms: self.terms,
        };
        let rpc = self.network.rpc()?;
        let hash = rpc.send(&signer, &draft).await?;
        if self.no_wait {
            return output.result(&Submitted { hash });
        }
        let settled = settle(&rpc, hash, output).await?;
        settled.check_success()?;
        output.result(&settled)
    }
}

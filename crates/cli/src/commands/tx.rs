//! `og tx`: send and look at transactions, for those who have no other tool.

mod abi;
mod account;
mod call;
mod deploy;
mod receipt;
mod send;

use crate::output::Output;
use alloy_primitives::{Address, Bytes};

/// Send OPG, call contracts, deploy them, look at receipts.
///
/// Fees, gas and nonce are asked of the validator, unless you say them. Transactions are of the type EIP-1559. Any
/// Ethereum tool can do the same through JSON-RPC; this one is always there.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og tx send --to 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --value 1.5opg
  og tx deploy Token.json 1000000
  og tx call 0x5FbDB2315678afecb367f032d93F642f64180aa3 'balanceOf(address)(uint256)' 0x7099...
  og tx receipt 0x9fc7...

Every command explains itself: og tx send --help")]
pub(crate) struct Tx {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Send(send::Send),
    Deploy(deploy::Deploy),
    Call(call::Call),
    Receipt(receipt::Receipt),
}

impl Tx {
    pub(crate) async fn run(self, output: &Output) -> anyhow::Result<()> {
        match self.action {
            Action::Send(send) => send.run(output).await,
            Action::Deploy(deploy) => deploy.run(output).await,
            Action::Call(call) => call.run(output).await,
            Action::Receipt(receipt) => receipt.run(output).await,
        }
    }
}

/// What a contract is asked: a function with its arguments, or bytes.
#[derive(Debug, clap::Args)]
struct Input {
    /// Function to call, for example 'transfer(address,uint256)'.
    #[arg(value_name = "FUNCTION", conflicts_with = "data")]
    function: Option<String>,
    /// Its arguments; arrays as '[1,2]', tuples as '(1,0x..)'.
    #[arg(value_name = "ARGUMENT", allow_negative_numbers = true)]
    arguments: Vec<String>,
    /// Input in hexadecimal, instead of a function.
    #[arg(long, value_name = "HEX")]
    data: Option<Bytes>,
}

/// Reads an address. One in mixed case has a checksum (EIP-55), which finds mistyped digits.
pub(super) fn address(text: &str) -> Result<Address, String> {
    let address: Address = text
        .parse()
        .map_err(|_| "an address is 0x and 40 hexadecimal digits".to_owned())?;
    let digits = text.trim_start_matches("0x");
    let is_mixed = digits != digits.to_lowercase() && digits != digits.to_uppercase();
    if is_mixed && Address::parse_checksummed(text, None).is_err() {
        return Err("the checksum is wrong: a digit is mistyped (EIP-55)".to_owned());
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn a_mistyped_address_is_noticed() {
        let good = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
        assert_eq!(address(good).unwrap().to_string(), good);
        assert!(address(&good.to_lowercase()).is_ok());
        for bad in [
            "0x70997970C51812dc3A010C7d01b50e0d17dc79C9",
            "0x70997970",
            "alice",
            "",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}

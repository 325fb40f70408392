//! `og tx call`: ask a contract without changing anything.

use super::{Input, abi, address};
use crate::{client::RpcArgs, failure::failure, output::Output};
use alloy_primitives::{Address, Bytes};
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// Ask a contract. Nothing is signed, paid or changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og tx call 0x5FbDB2315678afecb367f032d93F642f64180aa3 'totalSupply()(uint256)'
  og tx call 0x5FbDB2315678afecb367f032d93F642f64180aa3 'balanceOf(address)(uint256)' \\
      0x70997970C51812dc3A010C7d01b50e0d17dc79C8

The types in the second brackets say how to read the answer; without them you see its bytes.")]
pub(super) struct Call {
    /// The contract.
    #[arg(value_name = "ADDRESS", value_parser = address)]
    to: Address,
    #[command(flatten)]
    input: Input,
    /// Account that seems to ask.
    #[arg(long, value_name = "ADDRESS", value_parser = address, default_value_t = Address::ZERO)]
    from: Address,
    #[command(flatten)]
    network: RpcArgs,
}

#[derive(Serialize)]
struct Answer {
    output: Bytes,
    /// What the output says, where the function's outputs are known.
    values: Option<Vec<Value>>,
    #[serde(skip)]
    lines: Vec<String>,
}

impl Call {
    pub(super) async fn run(self, output: &Output) -> anyhow::Result<()> {
        let (input, function) = abi::input(&self.input)?;
        let rpc = self.network.rpc()?;
        let bytes = rpc.call_as(self.from, self.to, input).await?;
        let function = function.filter(|function| !function.outputs.is_empty());
        let Some(function) = function else {
            return output.result(&Answer {
                lines: vec![bytes.to_string()],
                values: None,
                output: bytes,
            });
        };
        if bytes.is_empty() {
            return Err(failure(
                format!(
                    "{} answered nothing: it is no contract, or has no such function",
                    self.to
                ),
                "check the address, the network and the function",
            ));
        }
        let values = abi::outputs(&function, &bytes)?;
        output.result(&Answer {
            lines: values.iter().map(abi::text).collect(),
            values: Some(values.iter().map(abi::json).collect()),
            output: bytes,
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

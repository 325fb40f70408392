//! anvil as a process beside the network, with the same chain id, gas limit and accounts.

use crate::{client::Rpc, commands::bench::testbed::FIRST_BASE_FEE, failure::failure};
use alloy_primitives::{Address, U64, U256};
use anyhow::ensure;
use serde_json::{Value, json};
use std::{
    net::TcpListener,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

/// How long it may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_PAUSE: Duration = Duration::from_millis(50);

/// A process of anvil, which ends when this is dropped.
pub(super) struct Anvil {
    pub(super) rpc: Rpc,
    _process: Child,
}

impl Anvil {
    /// Starts `program`, mining as it does by default: a block as soon as transactions are there.
    pub(super) async fn start(
        program: &Path,
        chain_id: u64,
        gas_limit: u64,
        accounts: &[Address],
        balance: U256,
    ) -> anyhow::Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = Command::new(program);
        command
            .args(["--silent", "--hardfork", "osaka", "--accounts", "0"])
            .args(["--port", &port.to_string()])
            .args(["--chain-id", &chain_id.to_string()])
            .args(["--gas-limit", &gas_limit.to_string()])
            .args(["--base-fee", &FIRST_BASE_FEE.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut process = command.spawn().map_err(|error| {
            failure(
                format!("cannot start {}: {error}", program.display()),
                "name anvil's own program with --anvil, as npm's @foundry-rs/anvil or Foundry installs it",
            )
        })?;
        let rpc = Rpc::new(&format!("http://127.0.0.1:{port}"));
        let started = Instant::now();
        while rpc.block_number().await.is_err() {
            if let Some(status) = process.try_wait()? {
                anyhow::bail!("{} ended ({status}) instead of serving", program.display());
            }
            ensure!(
                started.elapsed() < START_TIMEOUT,
                "{} does not serve after {} s",
                program.display(),
                START_TIMEOUT.as_secs()
            );
            tokio::time::sleep(POLL_PAUSE).await;
        }
        for account in accounts {
            let _: Value = rpc
                .call("anvil_setBalance", json!([account, balance]))
                .await?;
        }
        Ok(Self {
            rpc,
            _process: process,
        })
    }

    /// Lowers the base fee, which full blocks have raised and no empty one lowers.
    pub(super) async fn lower_fees(&self) -> anyhow::Result<()> {
        let fee = U64::from(FIRST_BASE_FEE);
        let _: Value = self
            .rpc
            .call("anvil_setNextBlockBaseFeePerGas", json!([fee]))
            .await?;
        Ok(())
    }
}

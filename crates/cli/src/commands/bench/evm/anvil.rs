//! anvil as a process beside the network, with the same chain id, gas limit and accounts.

use crate::{
    client::Rpc,
    commands::bench::{
        load::{Load, drive},
        testbed::FIRST_BASE_FEE,
    },
    failure::failure,
};
use alloy_primitives::{Address, Bytes, U64, U256};
use anyhow::{bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    net::TcpListener,
    path::Path,
    process::Stdio,
    slice,
    time::{Duration, Instant},
};
use tokio::process::{Child, Command};

/// How long it may take to answer.
const START_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_PAUSE: Duration = Duration::from_millis(50);
/// Pause before it is asked again whether transactions wait.
const MINE_PAUSE: Duration = Duration::from_millis(2);

/// A process of anvil, which ends when this is dropped.
pub(super) struct Anvil {
    rpc: Rpc,
    _process: Child,
}

/// How many transactions it could mine.
#[derive(Deserialize)]
struct PoolStatus {
    pending: U64,
}

impl Anvil {
    /// Starts `program`, which mines when it is told to.
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
            .args(["--silent", "--no-mining", "--hardfork", "osaka"])
            .args(["--accounts", "0"])
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
                bail!("{} ended ({status}) instead of serving", program.display());
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

    /// Hands it transactions as [`drive`] does, and has it mine block after block while some wait.
    pub(super) async fn drive(
        &self,
        transactions: &[Bytes],
        most_waiting: usize,
    ) -> anyhow::Result<Load> {
        self.lower_fees().await?;
        tokio::select! {
            load = drive(slice::from_ref(&self.rpc), transactions, most_waiting) => load,
            result = self.mine() => result.map(|()| Load::default()),
        }
    }

    /// Mines until it fails.
    async fn mine(&self) -> anyhow::Result<()> {
        loop {
            let pool: PoolStatus = self.rpc.call("txpool_status", json!([])).await?;
            if pool.pending.is_zero() {
                tokio::time::sleep(MINE_PAUSE).await;
                continue;
            }
            let _: Value = self.rpc.call("evm_mine", json!([])).await?;
        }
    }

    /// Lowers the base fee, which full blocks have raised and no empty one lowers.
    async fn lower_fees(&self) -> anyhow::Result<()> {
        let fee = U64::from(FIRST_BASE_FEE);
        let _: Value = self
            .rpc
            .call("anvil_setNextBlockBaseFeePerGas", json!([fee]))
            .await?;
        Ok(())
    }
}

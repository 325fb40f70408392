//! How many questions a validator answers, and how long each takes.

use super::{
    clients::ask,
    evm::ACCOUNTS,
    figure::{Figure, Sample, quantile},
    load::{MOST_WAITING, MOST_WAITING_OF_ONE, drive},
    testbed::Testbed,
    workload::{Contracts, Token, Workload},
};
use crate::output::Output;
use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::{SolCall as _, SolEvent as _};
use anyhow::ensure;
use rand::seq::SliceRandom as _;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Gas of the transfers of a token that the chain has before, in millions: they leave logs to search.
const MGAS_BEFORE: u32 = 60;
/// Searches of one round.
const SEARCHES: usize = 20;

/// The load of JSON-RPC's and the gateway's figures.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct LoadArgs {
    /// rpc, gateway: seconds for which each method is called in a round.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub(super) seconds: u16,
    /// rpc, gateway: calls that are on their way at the same time, each on a connection of its own.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) clients: u16,
}

/// A method under measurement: its calls, one of which each client makes after another, and its figures' names.
struct Method {
    calls: Vec<Value>,
    per_second: &'static str,
    p50: &'static str,
    p99: &'static str,
}

impl LoadArgs {
    pub(super) async fn measure_rpc(
        &self,
        rounds: u32,
        validators: u16,
        output: &Output,
    ) -> anyhow::Result<()> {
        let progress = output.progress("starting the network");
        let mut testbed = Testbed::start(validators, ACCOUNTS, output).await?;
        output.item(&testbed.ready())?;
        progress.set("filling some blocks");
        let contracts = fill(&mut testbed).await?;
        let methods = methods(&testbed, &contracts);
        let mut measured = Vec::new();
        for round in 1..=rounds {
            progress.set(format!("round {round} of {rounds}"));
            let mut samples = Vec::new();
            for method in &methods {
                samples.extend(self.calls(&testbed, method).await?);
            }
            samples.push(search(&testbed, &contracts).await?);
            testbed.check()?;
            measured.push(samples);
        }
        for figure in Figure::summarise(&measured) {
            output.item(&figure)?;
        }
        Ok(())
    }

    async fn calls(&self, testbed: &Testbed, method: &Method) -> anyhow::Result<[Sample; 3]> {
        let duration = Duration::from_secs(self.seconds.into());
        let url = testbed.url();
        let started = Instant::now();
        let clients = self.clients.into();
        let milliseconds = ask(url, &method.calls, "\"result\"", clients, duration).await?;
        let seconds = started.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let per_second = milliseconds.len() as f64 / seconds;
        Ok([
            (method.per_second, per_second, "1/s"),
            (method.p50, quantile(&milliseconds, 50), "ms"),
            (method.p99, quantile(&milliseconds, 99), "ms"),
        ])
    }
}

/// Makes a token, and blocks with logs of its transfers.
async fn fill(testbed: &mut Testbed) -> anyhow::Result<Contracts> {
    let (contracts, setup) = Contracts::create(&mut testbed.senders)?;
    drive(&testbed.validators, &setup, MOST_WAITING_OF_ONE).await?;
    let senders = &mut testbed.senders;
    let transfers = Workload::Token.transactions(&contracts, senders, MGAS_BEFORE)?;
    drive(&testbed.validators, &transfers, MOST_WAITING).await?;
    Ok(contracts)
}

/// What is asked, about accounts in an order drawn at random.
fn methods(testbed: &Testbed, contracts: &Contracts) -> [Method; 3] {
    let mut accounts = testbed.senders.addresses();
    accounts.shuffle(&mut rand::rng());
    let each = |call: &dyn Fn(Address) -> Value| accounts.iter().map(|a| call(*a)).collect();
    [
        Method {
            calls: each(&|account| {
                let input = Bytes::from(Token::balanceOfCall { account }.abi_encode());
                let call = json!([{ "to": contracts.token, "input": input }, "latest"]);
                request("eth_call", &call)
            }),
            per_second: "eth_call_per_second",
            p50: "eth_call_p50",
            p99: "eth_call_p99",
        },
        Method {
            calls: each(&|account| request("eth_getBalance", &json!([account, "latest"]))),
            per_second: "eth_get_balance_per_second",
            p50: "eth_get_balance_p50",
            p99: "eth_get_balance_p99",
        },
        Method {
            calls: vec![request("eth_blockNumber", &json!([]))],
            per_second: "eth_block_number_per_second",
            p50: "eth_block_number_p50",
            p99: "eth_block_number_p99",
        },
    ]
}

fn request(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

/// Searches the whole chain for the one log that tells of the token's making: a transfer from nobody.
async fn search(testbed: &Testbed, contracts: &Contracts) -> anyhow::Result<Sample> {
    let filter = json!([{
        "fromBlock": "earliest",
        "toBlock": "latest",
        "address": contracts.token,
        "topics": [Token::Transfer::SIGNATURE_HASH, B256::ZERO],
    }]);
    let validator = testbed.validator()?;
    let mut milliseconds = Vec::with_capacity(SEARCHES);
    for _ in 0..SEARCHES {
        let started = Instant::now();
        let found: Vec<Value> = validator.call("eth_getLogs", filter.clone()).await?;
        milliseconds.push(started.elapsed().as_secs_f64() * 1000.0);
        ensure!(found.len() == 1, "{} logs where there is one", found.len());
    }
    milliseconds.sort_by(f64::total_cmp);
    Ok(("eth_get_logs", quantile(&milliseconds, 50), "ms"))
}

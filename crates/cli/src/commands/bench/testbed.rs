//! The network under measurement: real processes in a temporary folder.

use super::figure::Figure;
use crate::{
    client::{Gateway, Rpc},
    commands::network::SizeArgs,
    digits::MODEL_NAME,
    fleet::{Fleet, Lifetime},
    output::Output,
};
use alloy_primitives::{Address, B256};
use alloy_signer_local::PrivateKeySigner;
use anyhow::{Context as _, bail};
use og_crypto::{NodeKey, commit_input, commit_output};
use og_node::{
    config::{InferenceConfig, NodeConfig},
    keys::read_node_key,
    network::{Network, NetworkPlan, read_genesis},
};
use og_types::{Amount, Computed, ModelInfo, Record, RequestId, SignedRecord, Tier};
use og_verify::TrustAnchor;
use rand::Rng as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Accounts that send transfers.
const ACCOUNTS: u16 = 40;
/// How long records of a measurement stay admissible.
const VALIDITY: Duration = Duration::from_secs(300);
/// How far the clock of a block may be behind ours.
const CLOCK_MARGIN: Duration = Duration::from_secs(60);

/// A network, with everything that is needed to make load for it.
pub(super) struct Testbed {
    fleet: Fleet,
    ready_after: Duration,
    pub(super) validators: Vec<Rpc>,
    pub(super) gateway: Gateway,
    pub(super) model: ModelInfo,
    pub(super) anchor: TrustAnchor,
    pub(super) chain_id: u64,
    /// Funded accounts, with the nonce of the next transaction of each.
    pub(super) accounts: Vec<(PrivateKeySigner, u64)>,
    genesis_hash: B256,
    node: NodeKey,
    payee: Address,
    _folder: tempfile::TempDir,
}

impl Testbed {
    pub(super) async fn start(size: &SizeArgs, output: &Output) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("og-bench-")
            .tempdir()
            .context("cannot make a temporary folder")?;
        let plan = NetworkPlan {
            accounts: ACCOUNTS,
            ..size.plan_on_free_ports("bench")?
        };
        let network = Network::create(&folder.path().join("network"), &plan, &mut rand::rng())?;
        let started = Instant::now();
        let mut fleet = Fleet::start(network, Lifetime::Attached)?;
        fleet.wait_ready(output).await?;
        let ready_after = started.elapsed();

        let network = &fleet.network;
        let config = inference_config(network)?;
        let genesis = read_genesis(&network.genesis_path())?;
        let gateway = Gateway::new(&network.endpoints.gateway);
        let anchor = TrustAnchor::from_genesis(&genesis)?;
        let accounts = network.accounts()?;
        Ok(Self {
            ready_after,
            validators: network
                .endpoints
                .rpcs
                .iter()
                .map(|url| Rpc::new(url))
                .collect(),
            model: gateway.model(MODEL_NAME).await?.info,
            gateway,
            genesis_hash: og_crypto::genesis_hash(&genesis),
            anchor,
            chain_id: network.endpoints.chain_id,
            accounts: accounts
                .iter()
                .map(|account| Ok((PrivateKeySigner::from_bytes(&account.private_key)?, 0)))
                .collect::<anyhow::Result<_>>()?,
            node: read_node_key(&config.node_key)?,
            payee: config.payee,
            fleet,
            _folder: folder,
        })
    }

    /// How long the network took to be ready.
    pub(super) fn ready(&self) -> Figure {
        Figure::single("network_ready", self.ready_after.as_secs_f64(), "s")
    }

    /// Resident memory of the largest validator, where the system tells.
    pub(super) fn memory(&self) -> Option<Figure> {
        let resident = |index| resident_megabytes(self.fleet.pid(&format!("validator-{index}"))?);
        let largest = (0..self.validators.len())
            .filter_map(resident)
            .max_by(f64::total_cmp)?;
        Some(Figure::single("validator_memory", largest, "MB"))
    }

    /// A record that the chain admits now, about a request of its own.
    pub(super) fn record(&self) -> SignedRecord {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now_ms = milliseconds(now);
        let record = Record {
            version: 1,
            chain_id: self.chain_id,
            request_id: RequestId(random()),
            payer: Address::ZERO,
            payee: self.payee,
            price: Amount(0),
            model: self.model.id,
            tier: Tier::Signed,
            computed: Computed::Float,
            valid_from_ms: now_ms.saturating_sub(milliseconds(CLOCK_MARGIN)),
            valid_until_ms: now_ms.saturating_add(milliseconds(VALIDITY)),
            input_commitment: commit_input(&random().into(), b"request"),
            output_commitment: commit_output(&random().into(), b"response"),
            seed: 0,
            input_units: 1,
            output_units: 1,
            started_at_ms: now_ms,
            finished_at_ms: now_ms,
            node: self.node.id(),
            evidence: None,
        };
        self.node.sign(&self.genesis_hash, record)
    }

    /// Fails if a node has ended: what is measured then is something else.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self.fleet.ended()? {
            Some((name, status)) => bail!("{name} ended during the measurement ({status})"),
            None => Ok(()),
        }
    }
}

fn inference_config(network: &Network) -> anyhow::Result<&InferenceConfig> {
    network
        .nodes
        .iter()
        .find_map(|node| match &node.config {
            NodeConfig::Inference(config) => Some(config),
            _ => None,
        })
        .context("the network has no inference node")
}

fn random() -> [u8; 32] {
    let mut bytes = [0; 32];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Resident memory of a process in megabytes (10^6 bytes), from Linux's `/proc`.
fn resident_megabytes(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kibibytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024.0 / 1e6)
}

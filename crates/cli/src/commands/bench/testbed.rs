//! The network under measurement: real processes in a temporary folder.

use super::{figure::Figure, senders::Senders};
use crate::{
    client::{Gateway, Rpc, readiness},
    commands::{model::register, network::SizeArgs},
    digits::MODEL_NAME,
    fleet::{Fleet, Lifetime},
    output::Output,
};
use alloy_primitives::{Address, B256, U256};
use alloy_signer_local::PrivateKeySigner;
use anyhow::{Context as _, bail, ensure};
use og_crypto::{NodeKey, commit_input, commit_output};
use og_engine::Library;
use og_node::{
    config::{InferenceConfig, NodeConfig},
    keys::read_node_key,
    network::{Network, NetworkPlan, read_genesis},
};
use og_types::{Amount, Computed, ModelId, ModelInfo, Record, RequestId, SignedRecord, Tier};
use og_verify::TrustAnchor;
use rand::Rng as _;
use serde_json::json;
use std::{
    io::Write as _,
    net::SocketAddr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Base fee per gas of the first block: each full block raises it by an eighth, and there are many.
pub(super) const FIRST_BASE_FEE: u64 = 1000;
/// The validator that is started again.
const VALIDATOR: &str = "validator-0";
/// How long it may take to be ready.
const RESTART_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two questions whether it is.
const RESTART_PAUSE: Duration = Duration::from_millis(2);
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
    /// Most gas per block.
    pub(super) gas_limit: u64,
    /// Funded accounts.
    pub(super) senders: Senders,
    genesis_hash: B256,
    node: NodeKey,
    payee: Address,
    _folder: tempfile::TempDir,
}

impl Testbed {
    /// Starts a network with so many validators and funded accounts, and the built-in model.
    pub(super) async fn start(
        validators: u16,
        accounts: u16,
        output: &Output,
    ) -> anyhow::Result<Self> {
        Self::start_with(validators, accounts, None, output).await
    }

    /// Starts a network whose inference node has one more model, of this name and file.
    pub(super) async fn start_with(
        validators: u16,
        accounts: u16,
        model: Option<(&str, &str)>,
        output: &Output,
    ) -> anyhow::Result<Self> {
        let size = SizeArgs {
            validators: Some(validators),
            ..SizeArgs::default()
        };
        let folder = tempfile::Builder::new()
            .prefix("og-bench-")
            .tempdir()
            .context("cannot make a temporary folder")?;
        let plan = NetworkPlan {
            accounts,
            base_fee_per_gas: FIRST_BASE_FEE,
            ..size.plan_on_free_ports("bench")?
        };
        let network = Network::create(&folder.path().join("network"), &plan, &mut rand::rng())?;
        let added = match model {
            Some((name, file)) => Some((name, add_model(&network, name, file)?)),
            None => None,
        };
        let started = Instant::now();
        let mut fleet = Fleet::start(network, Lifetime::Attached)?;
        fleet.wait_ready(output).await?;
        let ready_after = started.elapsed();

        let network = &fleet.network;
        let config = inference_config(network)?;
        let genesis = read_genesis(&network.genesis_path())?;
        let gateway = Gateway::new(&network.endpoints.gateway);
        let anchor = TrustAnchor::from_genesis(&genesis)?;
        let signers = network
            .accounts()?
            .iter()
            .map(|account| PrivateKeySigner::from_bytes(&account.private_key))
            .collect::<Result<Vec<_>, _>>()?;
        // Without that the chain refuses the records of its answers.
        if let (Some((name, id)), Some(signer)) = (added, signers.first()) {
            register(&Rpc::new(&network.endpoints.rpc), signer, &id, name).await?;
        }
        let chain_id = network.endpoints.chain_id;
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
            chain_id,
            gas_limit: genesis.gas_limit,
            senders: Senders::new(chain_id, signers),
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

    /// Resident memory of a node in megabytes, where the system tells.
    pub(super) fn memory_of(&self, node: &str) -> Option<f64> {
        resident_megabytes(self.fleet.pid(node)?)
    }

    /// Where the gateway serves.
    pub(super) fn gateway_url(&self) -> &str {
        &self.fleet.network.endpoints.gateway
    }

    /// Where the gateway tells its operators.
    pub(super) fn gateway_operators(&self) -> Option<SocketAddr> {
        let mut nodes = self.fleet.network.nodes.iter();
        let gateway = nodes.find(|node| matches!(node.config, NodeConfig::Gateway(_)))?;
        Some(gateway.config.operator_listen())
    }

    /// Resident memory of the largest validator, where the system tells.
    pub(super) fn memory(&self) -> Option<Figure> {
        let resident = |index| resident_megabytes(self.fleet.pid(&format!("validator-{index}"))?);
        let largest = (0..self.validators.len())
            .filter_map(resident)
            .max_by(f64::total_cmp)?;
        Some(Figure::single("validator_memory", largest, "MB"))
    }

    /// The first validator.
    pub(super) fn validator(&self) -> anyhow::Result<&Rpc> {
        self.validators.first().context("no validator")
    }

    /// Where the first validator serves JSON-RPC.
    pub(super) fn url(&self) -> &str {
        &self.fleet.network.endpoints.rpc
    }

    /// What the first account has, and every other that has sent nothing.
    pub(super) async fn balance(&self) -> anyhow::Result<U256> {
        let question = json!([self.senders.address(0), "latest"]);
        self.validator()?.call("eth_getBalance", question).await
    }

    /// Stops the first validator in good order and starts it again: seconds from the start of its process until it is
    /// ready and answers from its state.
    pub(super) async fn restart(&mut self) -> anyhow::Result<f64> {
        self.fleet.stop_node(VALIDATOR)?;
        let started = Instant::now();
        self.fleet.start_node(VALIDATOR)?;
        while !self.answers_from_state().await? {
            self.check()?;
            ensure!(
                started.elapsed() < RESTART_TIMEOUT,
                "{VALIDATOR} is not ready {} s after its start",
                RESTART_TIMEOUT.as_secs()
            );
            tokio::time::sleep(RESTART_PAUSE).await;
        }
        Ok(started.elapsed().as_secs_f64())
    }

    /// Whether the first validator says that it is ready, and its JSON-RPC reads an account.
    async fn answers_from_state(&self) -> anyhow::Result<bool> {
        let nodes = &self.fleet.network.nodes;
        let node = nodes.first().context("the network has no node")?;
        let ready = readiness(node.config.operator_listen()).await;
        if !ready.is_ok_and(|readiness| readiness.ready) {
            return Ok(false);
        }
        Ok(self.balance().await.is_ok())
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

/// Adds a model's file to those of the inference node.
fn add_model(network: &Network, name: &str, text: &str) -> anyhow::Result<ModelId> {
    let mut file = tempfile::NamedTempFile::new().context("cannot make a temporary file")?;
    file.write_all(text.as_bytes())?;
    let library = Library::open(&inference_config(network)?.models_dir)?;
    Ok(library.add(file.path(), name)?.id)
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

//! `og model add`: register a model on the chain and hand it to inference nodes.

use crate::{
    client::{Gateway, Rpc},
    failure::failure,
    output::{GOOD, Output, paint},
};
use alloy_primitives::{Address, B256, Bytes};
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall as _;
use anyhow::Context as _;
use og_chain::registry::{REGISTRY, Registry};
use og_engine::Library;
use og_node::{
    config::NodeConfig,
    keys::read_account_key,
    network::{Endpoints, Network},
};
use og_types::ModelId;
use serde::Serialize;
use std::{
    fmt,
    path::PathBuf,
    time::{Duration, Instant},
};

/// How long the gateway may take to notice: it believes a node's list for ten seconds.
const OFFER_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_PAUSE: Duration = Duration::from_millis(500);

/// Add a model: check it, register it on the chain, hand it to inference nodes.
///
/// With --dir the model goes to every inference node of the network in that folder, and the first
/// of its funded accounts registers it. With --models-dir, --rpc and --key-file, say it yourself.
/// A model is named by a SHA-256 (docs/formats/model.md); whoever can read the chain can see who added it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  og model add mymodel.og --name mymodel
  og model add mymodel.onnx --name myfloat
  og model add mymodel.og --name mymodel --models-dir /srv/og/models \\
      --rpc http://10.0.0.1:8545 --key-file account.key")]
pub(super) struct Add {
    /// The model: a file that `og model build` wrote, or an ONNX file, which runs in floating point.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The name by which people ask for it.
    #[arg(long)]
    name: String,
    /// The network's folder.
    #[arg(long, value_name = "DIR", default_value = "devnet")]
    dir: PathBuf,
    /// Folder of models of an inference node on this machine (`models_dir` in its configuration).
    #[arg(
        long,
        value_name = "DIR",
        requires = "rpc",
        requires = "key_file",
        conflicts_with = "dir"
    )]
    models_dir: Vec<PathBuf>,
    /// JSON-RPC of a validator.
    #[arg(long, value_name = "URL", requires = "models_dir")]
    rpc: Option<String>,
    /// Key file of the account that registers the model and pays the gas.
    #[arg(long, value_name = "FILE", requires = "models_dir")]
    key_file: Option<PathBuf>,
}

/// Where a model goes, and who registers it.
struct Target {
    models_dirs: Vec<PathBuf>,
    rpc: Rpc,
    signer: PrivateKeySigner,
    /// The gateway that is going to offer the model, where it is known.
    gateway: Option<Gateway>,
}

#[derive(Serialize)]
struct Added {
    id: ModelId,
    name: String,
    /// The transaction that registered it; absent if it was registered before.
    transaction: Option<B256>,
    models_dirs: Vec<PathBuf>,
}

impl Add {
    pub(super) async fn run(self, output: &Output) -> anyhow::Result<()> {
        // Everything that can be wrong with the file is found before anything is changed.
        let (id, _) = og_engine::load(&self.file)
            .with_context(|| format!("{} cannot be served", self.file.display()))?;
        let target = match (&self.rpc, &self.key_file) {
            (Some(rpc), Some(key_file)) => Target {
                models_dirs: self.models_dir.clone(),
                rpc: Rpc::new(rpc),
                signer: read_account_key(key_file)?,
                gateway: None,
            },
            _ => self.local_target()?,
        };
        target.check_name(&self.name, &id)?;
        let progress = output.progress("registering the model on the chain");
        let transaction = register(&target.rpc, &target.signer, &id, &self.name).await?;
        for directory in &target.models_dirs {
            Library::open(directory)?.add(&self.file, &self.name)?;
        }
        progress.set("waiting until the gateway offers the model");
        target.wait_until_offered(&id, output).await?;
        drop(progress);
        output.result(&Added {
            id,
            name: self.name,
            transaction,
            models_dirs: target.models_dirs,
        })
    }

    fn local_target(&self) -> anyhow::Result<Target> {
        let network = Network::open(&self.dir)?;
        let Endpoints { rpc, gateway, .. } = &network.endpoints;
        let accounts = network.accounts()?;
        let account = accounts.first().ok_or_else(|| {
            failure(
                "this network has no funded account",
                "name one that has tokens with --key-file, with --models-dir and --rpc",
            )
        })?;
        let models_dirs = network
            .nodes
            .iter()
            .filter_map(|node| match &node.config {
                NodeConfig::Inference(config) => Some(config.models_dir.clone()),
                _ => None,
            })
            .collect();
        Ok(Target {
            models_dirs,
            rpc: Rpc::new(rpc),
            signer: PrivateKeySigner::from_bytes(&account.private_key)
                .context("accounts.json holds something that is not a key")?,
            gateway: Some(Gateway::new(gateway)),
        })
    }
}

/// Registers a model on the chain if nobody has; the hash of the transaction.
///
/// # Errors
/// The chain cannot be asked, or refuses.
pub(crate) async fn register(
    rpc: &Rpc,
    signer: &PrivateKeySigner,
    id: &ModelId,
    name: &str,
) -> anyhow::Result<Option<B256>> {
    let question = Registry::modelOwnerCall { id: id.0.into() };
    let answer = rpc.read(REGISTRY, question.abi_encode().into()).await?;
    if Registry::modelOwnerCall::abi_decode_returns(&answer)? != Address::ZERO {
        return Ok(None);
    }
    let call = Registry::registerModelCall {
        id: id.0.into(),
        name: name.to_owned(),
    };
    let hash = rpc
        .write(signer, REGISTRY, Bytes::from(call.abi_encode()))
        .await
        .context("the model could not be registered")?;
    Ok(Some(hash))
}

impl Target {
    /// Fails if the name is taken at a node, before the chain is asked to remember it.
    fn check_name(&self, name: &str, id: &ModelId) -> anyhow::Result<()> {
        for directory in &self.models_dirs {
            if let Ok(other) = Library::open(directory)?.resolve(name)
                && other.id != *id
            {
                return Err(failure(
                    format!("the name {name:?} is taken by model {}", other.id),
                    "choose another --name",
                ));
            }
        }
        Ok(())
    }

    async fn wait_until_offered(&self, id: &ModelId, output: &Output) -> anyhow::Result<()> {
        let Some(gateway) = &self.gateway else {
            return Ok(());
        };
        let started = Instant::now();
        while started.elapsed() < OFFER_TIMEOUT {
            if gateway
                .models()
                .await?
                .iter()
                .any(|model| model.info.id == *id)
            {
                return Ok(());
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
        output.notice("the gateway does not offer the model yet: do the inference nodes run?");
        Ok(())
    }
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", paint(GOOD, "added"), self.name)?;
        writeln!(f, "  id           {}", self.id)?;
        match self.transaction {
            Some(hash) => write!(f, "  transaction  {hash}")?,
            None => write!(f, "  transaction  none: the model was registered before")?,
        }
        for directory in &self.models_dirs {
            write!(f, "\n  served from  {}", directory.display())?;
        }
        Ok(())
    }
}

//! What an inference node is configured with.

use super::{ConfigError, LogFormat, default_log, default_operator_listen};
use crate::keys;
use alloy_primitives::Address;
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

/// Configuration of an inference node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct InferenceConfig {
    /// The genesis file: which chain the signed records are for.
    pub genesis: PathBuf,
    /// Folder for what the node keeps. It belongs to one chain and one process.
    pub data_dir: PathBuf,
    /// Folder of the models that the node serves (see `og model add`).
    pub models_dir: PathBuf,
    /// Key file with which the node signs records; its public half must be registered.
    pub node_key: PathBuf,
    /// Keys for services that relayed models ask: a table `[upstream_keys]` with a line for each host, as
    /// `"api.openai.com" = "openai.key"`, a file that holds the key as the service gave it, or
    /// `"api.openai.com" = { env = "OPENAI_API_KEY" }`, a variable of the environment that does.
    #[serde(default)]
    pub upstream_keys: BTreeMap<String, UpstreamKeySource>,
    /// File of certificates in PEM: authorities of one's own, which may sign for those services beside the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_authorities: Option<PathBuf>,
    /// Account that is paid for answers: the one with which the node is registered.
    pub payee: Address,
    /// Where gateways connect to.
    pub listen: SocketAddr,
    /// Where the operator's tools connect to: `/healthz`, `/readyz` and `/metrics` over HTTP.
    #[serde(default = "default_operator_listen")]
    pub operator_listen: SocketAddr,
    /// What is logged, in the syntax of `RUST_LOG`.
    #[serde(default = "default_log")]
    pub log: String,
    /// How the log is written: `text` for people, `json` (one object a line) for programs.
    #[serde(default)]
    pub log_format: LogFormat,
}

/// Where the key of another service is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum UpstreamKeySource {
    /// In a file.
    File(PathBuf),
    /// In the environment.
    Environment {
        /// The variable's name.
        env: String,
    },
}

impl InferenceConfig {
    /// The paths in it, to resolve them against the configuration's folder.
    pub(super) fn paths(&mut self) -> Vec<&mut PathBuf> {
        let keys = self
            .upstream_keys
            .values_mut()
            .filter_map(|source| match source {
                UpstreamKeySource::File(path) => Some(path),
                UpstreamKeySource::Environment { .. } => None,
            });
        [
            &mut self.genesis,
            &mut self.data_dir,
            &mut self.models_dir,
            &mut self.node_key,
        ]
        .into_iter()
        .chain(keys)
        .chain(self.upstream_authorities.as_mut())
        .collect()
    }

    /// Every address of its own that it listens on, with what it serves there.
    pub(super) fn listens(&self) -> Vec<(&'static str, SocketAddr)> {
        vec![("inference", self.listen)]
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        keys::read_node_key(&self.node_key)?;
        Ok(())
    }
}

//! What a relay is configured with.

use super::{ConfigError, LogFormat, default_log, default_operator_listen, urls::check_urls};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

/// Configuration of a relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct RelayConfig {
    /// The genesis file: which chain's registry names the gateways.
    pub genesis: PathBuf,
    /// Folder that marks the process as the only one with this configuration. A relay keeps nothing.
    pub data_dir: PathBuf,
    /// Where clients connect to.
    pub listen: SocketAddr,
    /// JSON-RPC of nodes of the chain, for example `http://127.0.0.1:8545`; the next one is asked when one fails.
    /// They decide which gateways the relay knows: name nodes that you trust.
    pub rpc: Vec<String>,
    /// IP addresses of proxies in front. Limits for each client hold for whom they name in `X-Forwarded-For`;
    /// without this, all clients of a proxy share the limits of one.
    #[serde(default)]
    pub trusted_proxies: Vec<IpAddr>,
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

impl RelayConfig {
    /// The paths in it, to resolve them against the configuration's folder.
    pub(super) fn paths(&mut self) -> Vec<&mut PathBuf> {
        vec![&mut self.genesis, &mut self.data_dir]
    }

    /// Every address of its own that it listens on, with what it serves there.
    pub(super) fn listens(&self) -> Vec<(&'static str, SocketAddr)> {
        vec![("relay", self.listen)]
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        check_urls("rpc", &self.rpc, &["http://", "https://"])
    }
}

//! What a gateway is configured with.

use super::{ConfigError, LogFormat, default_log, default_operator_listen, urls::check_urls};
use documented::DocumentedFields;
use og_gateway::{KeyLimits, config::DEFAULT_ADDRESS_LIMITS};
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

/// Configuration of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// The genesis file: which chain the receipts are about.
    pub genesis: PathBuf,
    /// Folder for receipts and answers that wait for theirs. It belongs to one chain and one process.
    pub data_dir: PathBuf,
    /// Where clients connect to.
    pub listen: SocketAddr,
    /// Where clients connect to over TLS, with the certificate of `identity`; without it nothing is served over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_listen: Option<SocketAddr>,
    /// Key file of what OpenGradient's clients know this gateway by; without it answers carry no `tee_*` fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<PathBuf>,
    /// File of API keys and limits, read again when it changes; without it everybody may ask, within `address_limits`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<PathBuf>,
    /// What each client may use where `keys` names no file: an address, or a network of 64 bits of IPv6. A table with the limits
    /// that a file of keys has for `[everybody]`; what is left out is not limited, and `{}` limits nothing. Programs on the same
    /// machine are not limited.
    #[serde(default = "default_address_limits")]
    pub address_limits: KeyLimits,
    /// IP addresses of proxies in front. Limits for each client hold for whom they name in `X-Forwarded-For`;
    /// without this, all clients of a proxy share the limits of one.
    #[serde(default)]
    pub trusted_proxies: Vec<IpAddr>,
    /// Inference nodes, for example `http://127.0.0.1:8845`.
    pub nodes: Vec<String>,
    /// JSON-RPC of validators, for example `http://127.0.0.1:8545`; the next one is asked when one fails.
    pub rpc: Vec<String>,
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

impl GatewayConfig {
    /// The paths in it, to resolve them against the configuration's folder.
    pub(super) fn paths(&mut self) -> Vec<&mut PathBuf> {
        [&mut self.genesis, &mut self.data_dir]
            .into_iter()
            .chain(self.identity.as_mut())
            .chain(self.keys.as_mut())
            .collect()
    }

    /// Every address of its own that it listens on, with what it serves there.
    pub(super) fn listens(&self) -> Vec<(&'static str, SocketAddr)> {
        let secure = self.tls_listen.map(|address| ("TLS", address));
        std::iter::once(("gateway", self.listen))
            .chain(secure)
            .collect()
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        check_urls("nodes", &self.nodes, &["http://"])?;
        check_urls("rpc", &self.rpc, &["http://"])
    }
}

const fn default_address_limits() -> KeyLimits {
    DEFAULT_ADDRESS_LIMITS
}

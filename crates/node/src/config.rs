//! A node's configuration: one TOML file, whose paths are relative to the file itself.

use crate::files::read_at_most;
use error::invalid;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
};

mod error;
mod example;
mod gateway;
mod inference;
mod relay;
mod urls;
mod validator;

pub use error::ConfigError;
pub use example::{Role, example};
pub use gateway::GatewayConfig;
pub use inference::{InferenceConfig, UpstreamKeySource};
pub use relay::RelayConfig;
pub use validator::{
    DEFAULT_EMPTY_BLOCK_INTERVAL_MS, DEFAULT_FAUCET_OPG, DEFAULT_LEADER_TIMEOUT_MS,
    DEFAULT_RETAIN_BLOCKS, DEFAULT_RETAIN_STATES, DEFAULT_RPC_ALLOWED_HOST,
    DEFAULT_STATE_SYNC_BLOCKS, FaucetConfig, PeerConfig, ValidatorConfig,
};

/// Longest configuration file that is read, in bytes.
const MAX_CONFIG_BYTES: u64 = 1024 * 1024;
/// Default of where operators' tools connect to: nobody else reaches it.
pub const DEFAULT_OPERATOR_LISTEN: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);
/// Default of what a node logs.
pub const DEFAULT_LOG: &str = "info";

/// What one process does, and all that it needs to know for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum NodeConfig {
    /// Orders and executes blocks, checks every record before voting.
    Validator(ValidatorConfig),
    /// Runs models and signs records.
    Inference(InferenceConfig),
    /// Takes requests over HTTP and hands out receipts.
    Gateway(GatewayConfig),
    /// Passes sealed requests on to gateways.
    Relay(RelayConfig),
}

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl NodeConfig {
    /// Reads and checks a configuration. Relative paths in it are resolved against its own folder.
    ///
    /// # Errors
    /// [`ConfigError`] names the file or the field that is wrong, and what to do.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        let text = match read_at_most(path, MAX_CONFIG_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(ConfigError::TooLong {
                    path: path.to_owned(),
                });
            }
            other => other.map_err(read)?,
        };
        let text = String::from_utf8(text)
            .map_err(|error| read(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        let mut config: Self = toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source,
        })?;
        let folder = std::path::absolute(path).map_err(read)?;
        if let Some(folder) = folder.parent() {
            config.resolve(folder);
        }
        config.validate()?;
        Ok(config)
    }

    /// Folder for what the process keeps on disk.
    pub fn data_dir(&self) -> &Path {
        match self {
            Self::Validator(config) => &config.data_dir,
            Self::Inference(config) => &config.data_dir,
            Self::Gateway(config) => &config.data_dir,
            Self::Relay(config) => &config.data_dir,
        }
    }

    /// What is logged, and how.
    pub fn log(&self) -> (&str, LogFormat) {
        match self {
            Self::Validator(config) => (&config.log, config.log_format),
            Self::Inference(config) => (&config.log, config.log_format),
            Self::Gateway(config) => (&config.log, config.log_format),
            Self::Relay(config) => (&config.log, config.log_format),
        }
    }

    /// The name under which a collector of traces gets the role's spans; `None` if it makes none.
    pub const fn traced_as(&self) -> Option<&'static str> {
        match self {
            Self::Inference(_) => Some("og-inference"),
            Self::Gateway(_) => Some("og-gateway"),
            Self::Validator(_) | Self::Relay(_) => None,
        }
    }

    /// Where the operator's tools connect to.
    pub fn operator_listen(&self) -> SocketAddr {
        match self {
            Self::Validator(config) => config.operator_listen,
            Self::Inference(config) => config.operator_listen,
            Self::Gateway(config) => config.operator_listen,
            Self::Relay(config) => config.operator_listen,
        }
    }

    /// Every address that the process listens on, with what it serves there.
    pub fn listens(&self) -> Vec<(&'static str, SocketAddr)> {
        let mut listens = match self {
            Self::Validator(config) => config.listens(),
            Self::Inference(config) => config.listens(),
            Self::Gateway(config) => config.listens(),
            Self::Relay(config) => config.listens(),
        };
        listens.push(("operators", self.operator_listen()));
        listens
    }

    fn resolve(&mut self, folder: &Path) {
        let paths = match self {
            Self::Validator(config) => config.paths(),
            Self::Inference(config) => config.paths(),
            Self::Gateway(config) => config.paths(),
            Self::Relay(config) => config.paths(),
        };
        for path in paths {
            *path = folder.join(&*path);
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let mut ports = BTreeMap::new();
        for (what, address) in self.listens() {
            if address.port() == 0 {
                return Err(invalid(
                    "listen",
                    format!(
                        "port 0 for {what} would be another port each time: choose one from 1 to 65535"
                    ),
                ));
            }
            if let Some(other) = ports.insert(address.port(), what) {
                return Err(invalid(
                    "listen",
                    format!(
                        "port {} is for {other} and for {what}: choose another for one of them",
                        address.port()
                    ),
                ));
            }
        }
        match self {
            Self::Validator(config) => config.validate(),
            Self::Inference(config) => config.validate(),
            Self::Gateway(config) => config.validate(),
            Self::Relay(config) => config.validate(),
        }
    }
}

const fn default_operator_listen() -> SocketAddr {
    DEFAULT_OPERATOR_LISTEN
}

fn default_log() -> String {
    DEFAULT_LOG.to_owned()
}

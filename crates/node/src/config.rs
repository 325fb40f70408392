//! A node's configuration: one TOML file, whose paths are relative to the file itself.

use crate::{
    files::read_at_most,
    keys::{self, KeyFileError},
};
use alloy_primitives::Address;
use documented::DocumentedFields;
use og_consensus::history::{self, MIN_RETAIN_BLOCKS, NEAR_BLOCKS};
use og_rpc::{Access, AccessError};
use og_types::{ValidatorId, limits::MAX_VALIDATORS};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

mod example;
mod relay;

pub use example::{Role, example};
pub use relay::RelayConfig;

/// Longest configuration file that is read, in bytes.
const MAX_CONFIG_BYTES: u64 = 1024 * 1024;
/// Most inference nodes, and most validators, that a gateway asks.
const MAX_URLS: usize = 256;
/// Default of [`ValidatorConfig::empty_block_interval_ms`].
pub const DEFAULT_EMPTY_BLOCK_INTERVAL_MS: u64 = 1000;
/// Default of [`ValidatorConfig::leader_timeout_ms`].
pub const DEFAULT_LEADER_TIMEOUT_MS: u64 = 2000;
/// Default of where operators' tools connect to: nobody else reaches it.
pub const DEFAULT_OPERATOR_LISTEN: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);
/// Default of [`ValidatorConfig::rpc_allowed_hosts`], as of Ethereum's nodes.
pub const DEFAULT_RPC_ALLOWED_HOST: &str = "localhost";
/// Least allowed of [`ValidatorConfig::retain_states`].
const MIN_RETAIN_STATES: u64 = 64;
/// Default of [`ValidatorConfig::retain_states`]: an hour of blocks a second.
pub const DEFAULT_RETAIN_STATES: u64 = 4096;
/// Most of [`ValidatorConfig::rpc_answer_when_final_ms`].
const MAX_ANSWER_WHEN_FINAL_MS: u64 = 10_000;
/// Default of [`ValidatorConfig::retain_blocks`].
pub const DEFAULT_RETAIN_BLOCKS: u64 = history::DEFAULT_RETAIN_BLOCKS;
/// Default of [`ValidatorConfig::state_sync_blocks`].
pub const DEFAULT_STATE_SYNC_BLOCKS: u64 = history::DEFAULT_STATE_SYNC_BLOCKS;
/// Default of [`FaucetConfig::opg`].
pub const DEFAULT_FAUCET_OPG: u64 = 10;
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

/// Configuration of a validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct ValidatorConfig {
    /// The genesis file: which chain this is.
    pub genesis: PathBuf,
    /// Folder for blocks, state and votes. It belongs to one chain and one process.
    pub data_dir: PathBuf,
    /// Key file of the seat, which names this validator and authenticates its connections.
    pub seat_key: PathBuf,
    /// Key file with which the seat votes. Two processes that share it can be punished for voting twice.
    pub consensus_key: PathBuf,
    /// Where other validators connect to.
    pub p2p_listen: SocketAddr,
    /// Where JSON-RPC is served.
    pub rpc_listen: SocketAddr,
    /// Names, without port, under which JSON-RPC is reached; `*` means all. IP addresses need not
    /// be listed. Requests to other names are refused: a web page can give its own name this
    /// node's address, and reach it through the browser of somebody who may (DNS rebinding).
    #[serde(default = "default_rpc_allowed_hosts")]
    pub rpc_allowed_hosts: Vec<String>,
    /// Web pages that may use JSON-RPC from a visitor's browser, by their origins as
    /// `https://app.example.org`; `*` means all. Programs are not concerned.
    #[serde(default)]
    pub rpc_allowed_origins: Vec<String>,
    /// IP addresses of proxies in front of JSON-RPC. Limits for each client hold for whom they name
    /// in `X-Forwarded-For`; without this, all clients of a proxy share the limits of one.
    #[serde(default)]
    pub rpc_trusted_proxies: Vec<IpAddr>,
    /// How long `eth_sendRawTransaction` waits for its transaction to be final before it answers, in
    /// milliseconds. 0 on public networks: clients wait themselves. Tests written against tools that
    /// make a block for every transaction read its effects at once, and want 1000 or so.
    #[serde(default)]
    pub rpc_answer_when_final_ms: u64,
    /// The other validators: a table `[[peers]]` for each, with `id` (the seat's Ed25519 public key
    /// as in the genesis file) and `address` (where it listens, as `p2p_listen` there).
    #[serde(default)]
    pub peers: Vec<PeerConfig>,
    /// How long a proposer waits for work before it proposes an empty block, in milliseconds.
    /// With work waiting, blocks come as fast as the validators agree.
    #[serde(default = "default_empty_block_interval_ms")]
    pub empty_block_interval_ms: u64,
    /// How long the validators wait for a proposer before they skip it, in milliseconds. It must
    /// exceed `empty_block_interval_ms`, or an idle proposer is taken for a dead one.
    #[serde(default = "default_leader_timeout_ms")]
    pub leader_timeout_ms: u64,
    /// Where the operator's tools connect to: `/healthz`, `/readyz` and `/metrics` over HTTP.
    #[serde(default = "default_operator_listen")]
    pub operator_listen: SocketAddr,
    /// How many final blocks are kept, with their certificates and what JSON-RPC answers from
    /// them. Older ones are removed. Gateways fetch the proof of a record seconds after its block
    /// is final, and must find it.
    #[serde(default = "default_retain_blocks")]
    pub retain_blocks: u64,
    /// How many blocks back JSON-RPC can be asked for balances, calls and traces: for each of these
    /// blocks the index keeps what it changed.
    #[serde(default = "default_retain_states")]
    pub retain_states: u64,
    /// Keeps all blocks and states, whatever `retain_blocks` and `retain_states` say. An archive catches up by replaying blocks
    /// alone, so it needs a peer that has all that it lacks.
    #[serde(default)]
    pub archive: bool,
    /// More blocks behind the network than this, a node that starts fetches the state of its peers
    /// instead of replaying blocks. Blocks that it skips are not in its JSON-RPC.
    #[serde(default = "default_state_sync_blocks")]
    pub state_sync_blocks: u64,
    /// What is logged, in the syntax of `RUST_LOG`, for example `info,og_consensus=debug`.
    #[serde(default = "default_log")]
    pub log: String,
    /// How the log is written: `text` for people, `json` (one object a line) for programs.
    #[serde(default)]
    pub log_format: LogFormat,
    /// Gives tokens to whoever sends `POST /faucet` to JSON-RPC: a table `[faucet]` with `key` (key
    /// file of the account that pays) and `opg` (whole tokens a time). For development only: use a
    /// key that is worth nothing elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faucet: Option<FaucetConfig>,
}

/// What gives tokens away, on networks for development.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaucetConfig {
    /// Key file of the account that pays.
    pub key: PathBuf,
    /// Whole tokens a time.
    #[serde(default = "default_faucet_opg")]
    pub opg: u64,
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

/// Another validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// The seat's Ed25519 public key, as in the genesis file.
    pub id: ValidatorId,
    /// Where it listens.
    pub address: SocketAddr,
}

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
    /// File of API keys and limits, read again when it changes; without it everybody may ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<PathBuf>,
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

const fn default_empty_block_interval_ms() -> u64 {
    DEFAULT_EMPTY_BLOCK_INTERVAL_MS
}

const fn default_leader_timeout_ms() -> u64 {
    DEFAULT_LEADER_TIMEOUT_MS
}

fn default_rpc_allowed_hosts() -> Vec<String> {
    vec![DEFAULT_RPC_ALLOWED_HOST.to_owned()]
}

const fn default_operator_listen() -> SocketAddr {
    DEFAULT_OPERATOR_LISTEN
}

const fn default_retain_states() -> u64 {
    DEFAULT_RETAIN_STATES
}

const fn default_retain_blocks() -> u64 {
    DEFAULT_RETAIN_BLOCKS
}

const fn default_state_sync_blocks() -> u64 {
    DEFAULT_STATE_SYNC_BLOCKS
}

const fn default_faucet_opg() -> u64 {
    DEFAULT_FAUCET_OPG
}

fn default_log() -> String {
    DEFAULT_LOG.to_owned()
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {}: give the path of a node's config.toml (`og network init` makes them)", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is too long to be a configuration.
    #[error("{} has more than {MAX_CONFIG_BYTES} bytes: this is not a node's configuration", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file is not TOML, or a field is unknown, missing or of the wrong type.
    #[error("{} is not a valid configuration", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong there.
        source: toml::de::Error,
    },
    /// A field's value makes no sense.
    #[error("{field}: {reason}")]
    Value {
        /// The field.
        field: &'static str,
        /// What is wrong, and what to put there.
        reason: String,
    },
    /// A key file is missing or is no key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
}

fn invalid(field: &'static str, reason: impl Into<String>) -> ConfigError {
    ConfigError::Value {
        field,
        reason: reason.into(),
    }
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
            Self::Validator(config) => {
                vec![
                    ("JSON-RPC", config.rpc_listen),
                    ("peers", config.p2p_listen),
                ]
            }
            Self::Inference(config) => vec![("inference", config.listen)],
            Self::Gateway(config) => {
                let secure = config.tls_listen.map(|address| ("TLS", address));
                std::iter::once(("gateway", config.listen))
                    .chain(secure)
                    .collect()
            }
            Self::Relay(config) => vec![("relay", config.listen)],
        };
        listens.push(("operators", self.operator_listen()));
        listens
    }

    fn resolve(&mut self, folder: &Path) {
        let paths: Vec<&mut PathBuf> = match self {
            Self::Validator(config) => [
                &mut config.genesis,
                &mut config.data_dir,
                &mut config.seat_key,
                &mut config.consensus_key,
            ]
            .into_iter()
            .chain(config.faucet.as_mut().map(|faucet| &mut faucet.key))
            .collect(),
            Self::Inference(config) => [
                &mut config.genesis,
                &mut config.data_dir,
                &mut config.models_dir,
                &mut config.node_key,
            ]
            .into_iter()
            .chain(
                config
                    .upstream_keys
                    .values_mut()
                    .filter_map(|source| match source {
                        UpstreamKeySource::File(path) => Some(path),
                        UpstreamKeySource::Environment { .. } => None,
                    }),
            )
            .chain(config.upstream_authorities.as_mut())
            .collect(),
            Self::Gateway(config) => [&mut config.genesis, &mut config.data_dir]
                .into_iter()
                .chain(config.identity.as_mut())
                .chain(config.keys.as_mut())
                .collect(),
            Self::Relay(config) => vec![&mut config.genesis, &mut config.data_dir],
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
            Self::Inference(config) => keys::read_node_key(&config.node_key)
                .map(drop)
                .map_err(Into::into),
            Self::Gateway(config) => {
                check_urls("nodes", &config.nodes, &["http://"])?;
                check_urls("rpc", &config.rpc, &["http://"])
            }
            Self::Relay(config) => check_urls("rpc", &config.rpc, &["http://", "https://"]),
        }
    }
}

impl ValidatorConfig {
    /// Who may use JSON-RPC.
    ///
    /// # Errors
    /// [`ConfigError::Value`] says which entry makes no sense.
    pub fn access(&self) -> Result<Access, ConfigError> {
        let access = Access::new(
            &self.rpc_allowed_hosts,
            &self.rpc_allowed_origins,
            &self.rpc_trusted_proxies,
        );
        access.map_err(|error| {
            let field = match error {
                AccessError::Host(_) => "rpc_allowed_hosts",
                AccessError::Origin(_) => "rpc_allowed_origins",
            };
            invalid(field, error.to_string())
        })
    }

    fn validate(&self) -> Result<(), ConfigError> {
        if self.empty_block_interval_ms == 0 {
            return Err(invalid(
                "empty_block_interval_ms",
                "0 would make empty blocks without pause: choose at least 1 (1000 is usual)",
            ));
        }
        if self.leader_timeout_ms <= self.empty_block_interval_ms {
            return Err(invalid(
                "leader_timeout_ms",
                format!(
                    "{} must be more than empty_block_interval_ms ({}), or idle proposers are skipped: raise it",
                    self.leader_timeout_ms, self.empty_block_interval_ms
                ),
            ));
        }
        if self.retain_blocks < MIN_RETAIN_BLOCKS {
            return Err(invalid(
                "retain_blocks",
                format!(
                    "{} is too few for peers that restart: choose at least {MIN_RETAIN_BLOCKS} ({DEFAULT_RETAIN_BLOCKS} is usual), or archive = true to keep all",
                    self.retain_blocks
                ),
            ));
        }
        if self.retain_states < MIN_RETAIN_STATES {
            return Err(invalid(
                "retain_states",
                format!(
                    "{} is too few for calls that run while blocks become final: choose at least {MIN_RETAIN_STATES} ({DEFAULT_RETAIN_STATES} is usual)",
                    self.retain_states
                ),
            ));
        }
        if self.state_sync_blocks < NEAR_BLOCKS {
            return Err(invalid(
                "state_sync_blocks",
                format!(
                    "{} is so near that replaying is faster: choose at least {NEAR_BLOCKS} ({DEFAULT_STATE_SYNC_BLOCKS} is usual)",
                    self.state_sync_blocks
                ),
            ));
        }
        self.access()?;
        if self.rpc_answer_when_final_ms > MAX_ANSWER_WHEN_FINAL_MS {
            return Err(invalid(
                "rpc_answer_when_final_ms",
                format!("at most {MAX_ANSWER_WHEN_FINAL_MS}: clients stop waiting for an answer"),
            ));
        }
        if self.peers.len() > MAX_VALIDATORS {
            return Err(invalid("peers", format!("more than {MAX_VALIDATORS}")));
        }
        let seat = keys::read_seat_key(&self.seat_key)?.id();
        let mut seen = BTreeSet::from([seat]);
        for peer in &self.peers {
            if !seen.insert(peer.id) {
                return Err(invalid(
                    "peers",
                    format!(
                        "{} stands twice or is this validator itself: list each other validator once",
                        peer.id
                    ),
                ));
            }
        }
        keys::read_consensus_key(&self.consensus_key)?;
        if let Some(faucet) = &self.faucet {
            keys::read_account_key(&faucet.key)?;
        }
        Ok(())
    }
}

fn check_urls(field: &'static str, urls: &[String], schemes: &[&str]) -> Result<(), ConfigError> {
    if urls.is_empty() {
        return Err(invalid(field, "at least one address is needed"));
    }
    if urls.len() > MAX_URLS {
        let reason = format!("{} addresses: at most {MAX_URLS} are asked", urls.len());
        return Err(invalid(field, reason));
    }
    let is_known = |url: &String| schemes.iter().any(|scheme| url.starts_with(scheme));
    match urls.iter().find(|url| !is_known(url)) {
        Some(url) => {
            let forms: Vec<_> = schemes
                .iter()
                .map(|scheme| format!("{scheme}HOST:PORT"))
                .collect();
            let forms = forms.join(" or ");
            let reason = format!("{url:?} is not an address of the form {forms}");
            Err(invalid(field, reason))
        }
        None => Ok(()),
    }
}

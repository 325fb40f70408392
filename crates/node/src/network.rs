//! A network's folder: genesis, one configuration with keys per node, funded accounts.
//!
//! ```text
//! D/genesis.json      where the chain begins
//! D/endpoints.json    where its services listen
//! D/accounts.json     funded accounts with their keys, for development
//! D/validator-0/      config.toml, seat.key, consensus.key, account.key, data/; faucet.key where
//!                     there is a faucet
//! D/inference-0/      config.toml, node.key, account.key, models/, data/
//! D/gateway/          config.toml, identity.key, data/
//! D/relay/            config.toml, data/
//! ```

use crate::{
    config::{ConfigError, NodeConfig},
    files::read_at_most,
    keys::KeyFileError,
};
use alloy_primitives::{Address, B256};
use og_chain::contracts::ConstructorError;
use og_types::{Canonical as _, DecodeError, Genesis};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

mod create;

pub use create::{
    DEFAULT_CHAIN_ID, MAX_ACCOUNTS, MAX_NODES_PER_ROLE, NetworkPlan, RESERVED_CHAIN_IDS,
};

/// Longest JSON file of a network's folder that is read, in bytes.
const MAX_FILE_BYTES: u64 = 512 * 1024 * 1024;

/// A network's folder, read.
#[derive(Clone, Debug)]
pub struct Network {
    /// The folder.
    pub directory: PathBuf,
    /// Where its services listen.
    pub endpoints: Endpoints,
    /// Its nodes: validators, inference nodes, the gateway, the relay, each kind by number.
    pub nodes: Vec<Node>,
}

/// One node of a network.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its folder's name, for example `validator-0`.
    pub name: String,
    /// Its configuration file.
    pub config_path: PathBuf,
    /// Its configuration.
    pub config: NodeConfig,
}

/// A funded account with its key: for development only.
#[derive(Clone, Serialize, Deserialize)]
pub struct Account {
    /// The account.
    pub address: Address,
    /// Its secret key, in hexadecimal.
    pub private_key: B256,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account({})", self.address)
    }
}

/// Where a network's services listen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// JSON-RPC of the first validator.
    pub rpc: String,
    /// JSON-RPC of every validator.
    pub rpcs: Vec<String>,
    /// The gateway.
    pub gateway: String,
    /// What takes sealed requests for the gateway; networks that older versions made have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<String>,
    /// What gives tokens to whoever sends it a `POST`, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faucet: Option<String>,
    /// Every inference node.
    pub inference: Vec<String>,
    /// Every node's operator interface, by the node's name; each listens on its own host only.
    pub operators: BTreeMap<String, String>,
}

/// Why a network's folder could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The chain id belongs to another network.
    #[error(
        "chain id {0} belongs to another network: choose one that is not among {RESERVED_CHAIN_IDS:?} (default {DEFAULT_CHAIN_ID})"
    )]
    ReservedChainId(u64),
    /// A number of the plan is out of range.
    #[error("{what}: {value} is not between {minimum} and {maximum}")]
    Range {
        /// What is counted.
        what: &'static str,
        /// What was asked for.
        value: u64,
        /// The least that works.
        minimum: u64,
        /// The most that works.
        maximum: u64,
    },
    /// There are no hosts to run on.
    #[error("no hosts: give at least one IP address")]
    NoHosts,
    /// The folder has something in it.
    #[error("{} is not empty: choose another folder, or remove it if you do not need it", .0.display())]
    NotEmpty(PathBuf),
    /// The folder holds no network.
    #[error("there is no network in {}: make one with `og devnet --dir` or `og network init --dir`", .0.display())]
    Missing(PathBuf),
    /// A file could not be written.
    #[error("cannot write {}: check that the folder is writable and the disk is not full", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file does not hold what its name says.
    #[error("{} is damaged or of another version: restore it, or make a new network", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong there.
        source: serde_json::Error,
    },
    /// The genesis file is JSON of the right form, but no chain can begin like that.
    #[error("{} cannot begin a chain: use the genesis file of the network as it was handed out", path.display())]
    Genesis {
        /// The file.
        path: PathBuf,
        /// The field that is wrong.
        source: DecodeError,
    },
    /// The file is too long.
    #[error("{} has more than {MAX_FILE_BYTES} bytes", .0.display())]
    TooLong(PathBuf),
    /// A key file.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// A node's configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A system contract, which is a fault of this program.
    #[error(transparent)]
    Contract(#[from] ConstructorError),
}

impl Endpoints {
    /// Reads where the services of the network in `directory` listen.
    ///
    /// # Errors
    /// [`NetworkError`] if there is no network, or its file is damaged.
    pub fn read(directory: &Path) -> Result<Self, NetworkError> {
        let path = directory.join("endpoints.json");
        if !path.is_file() {
            return Err(NetworkError::Missing(directory.to_owned()));
        }
        read_json(&path)
    }
}

impl Network {
    /// Reads the network in `directory`.
    ///
    /// # Errors
    /// [`NetworkError`] names the file that is missing or wrong.
    pub fn open(directory: &Path) -> Result<Self, NetworkError> {
        if !directory.join("genesis.json").is_file() {
            return Err(NetworkError::Missing(directory.to_owned()));
        }
        let mut names = Vec::new();
        let read = |source| NetworkError::Read {
            path: directory.to_owned(),
            source,
        };
        for entry in fs::read_dir(directory).map_err(read)? {
            let name = entry.map_err(read)?.file_name();
            if directory.join(&name).join("config.toml").is_file() {
                names.push(name.to_string_lossy().into_owned());
            }
        }
        names.sort_by_cached_key(|name| node_order(name));
        let mut nodes = Vec::with_capacity(names.len());
        for name in names {
            let config_path = directory.join(&name).join("config.toml");
            nodes.push(Node {
                config: NodeConfig::load(&config_path)?,
                config_path,
                name,
            });
        }
        Ok(Self {
            directory: directory.to_owned(),
            endpoints: Endpoints::read(directory)?,
            nodes,
        })
    }

    /// The genesis file.
    pub fn genesis_path(&self) -> PathBuf {
        self.directory.join("genesis.json")
    }

    /// The log of one node.
    pub fn log_path(&self, node: &Node) -> PathBuf {
        self.directory
            .join("logs")
            .join(format!("{}.log", node.name))
    }

    /// The funded accounts.
    ///
    /// # Errors
    /// [`NetworkError`] if the file is missing or damaged.
    pub fn accounts(&self) -> Result<Vec<Account>, NetworkError> {
        read_json(&self.directory.join("accounts.json"))
    }
}

/// Validators, then inference nodes, then gateways and relays, by number.
fn node_order(name: &str) -> (u8, u64, String) {
    let (role, number) = name.rsplit_once('-').unwrap_or((name, "0"));
    let rank = match role {
        "validator" => 0,
        "inference" => 1,
        _ => 2,
    };
    (rank, number.parse().unwrap_or(u64::MAX), name.to_owned())
}

/// Reads a genesis file (JSON) and checks that it is within the bounds of its canonical form.
///
/// # Errors
/// [`NetworkError`] if it cannot be read, is malformed, or exceeds a bound.
pub fn read_genesis(path: &Path) -> Result<Genesis, NetworkError> {
    let genesis: Genesis = read_json(path)?;
    Genesis::from_bytes(&genesis.to_bytes()).map_err(|source| NetworkError::Genesis {
        path: path.to_owned(),
        source,
    })
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, NetworkError> {
    let read = |source| NetworkError::Read {
        path: path.to_owned(),
        source,
    };
    let text = match read_at_most(path, MAX_FILE_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            return Err(NetworkError::TooLong(path.to_owned()));
        }
        other => other.map_err(read)?,
    };
    serde_json::from_slice(&text).map_err(|source| NetworkError::Parse {
        path: path.to_owned(),
        source,
    })
}

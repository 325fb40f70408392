//! What a validator is configured with.

use super::{ConfigError, LogFormat, default_log, default_operator_listen, error::invalid};
use crate::keys;
use documented::DocumentedFields;
use og_consensus::history::{self, MIN_RETAIN_BLOCKS, NEAR_BLOCKS};
use og_rpc::{Access, AccessError};
use og_types::{ValidatorId, limits::MAX_VALIDATORS};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

/// Default of [`ValidatorConfig::empty_block_interval_ms`].
pub const DEFAULT_EMPTY_BLOCK_INTERVAL_MS: u64 = 1000;
/// Default of [`ValidatorConfig::leader_timeout_ms`].
pub const DEFAULT_LEADER_TIMEOUT_MS: u64 = 2000;
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

/// Another validator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// The seat's Ed25519 public key, as in the genesis file.
    pub id: ValidatorId,
    /// Where it listens.
    pub address: SocketAddr,
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

    /// The paths in it, to resolve them against the configuration's folder.
    pub(super) fn paths(&mut self) -> Vec<&mut PathBuf> {
        [
            &mut self.genesis,
            &mut self.data_dir,
            &mut self.seat_key,
            &mut self.consensus_key,
        ]
        .into_iter()
        .chain(self.faucet.as_mut().map(|faucet| &mut faucet.key))
        .collect()
    }

    /// Every address of its own that it listens on, with what it serves there.
    pub(super) fn listens(&self) -> Vec<(&'static str, SocketAddr)> {
        vec![("JSON-RPC", self.rpc_listen), ("peers", self.p2p_listen)]
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
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

const fn default_empty_block_interval_ms() -> u64 {
    DEFAULT_EMPTY_BLOCK_INTERVAL_MS
}

const fn default_leader_timeout_ms() -> u64 {
    DEFAULT_LEADER_TIMEOUT_MS
}

fn default_rpc_allowed_hosts() -> Vec<String> {
    vec![DEFAULT_RPC_ALLOWED_HOST.to_owned()]
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

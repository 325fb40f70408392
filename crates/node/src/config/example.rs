//! A configuration that names every setting with its default, for operators to begin with.

use super::{
    DEFAULT_EMPTY_BLOCK_INTERVAL_MS, DEFAULT_LEADER_TIMEOUT_MS, DEFAULT_LOG,
    DEFAULT_OPERATOR_LISTEN, DEFAULT_RETAIN_BLOCKS, DEFAULT_RETAIN_STATES,
    DEFAULT_RPC_ALLOWED_HOST, DEFAULT_STATE_SYNC_BLOCKS, GatewayConfig, InferenceConfig, LogFormat,
    RelayConfig, ValidatorConfig,
};
use alloy_primitives::Address;
use documented::DocumentedFields;
use og_gateway::config::DEFAULT_ADDRESS_LIMITS;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
};

const WIDTH: usize = 98;

/// What a process can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Orders and executes blocks.
    Validator,
    /// Runs models.
    Inference,
    /// Serves clients.
    Gateway,
    /// Passes sealed requests on.
    Relay,
}

/// The text of a configuration for `role`: every setting with its default, or with a usual value
/// where there is none, and what it is.
pub fn example(role: Role) -> String {
    match role {
        Role::Validator => document("validator", &validator()),
        Role::Inference => document("inference", &inference()),
        Role::Gateway => document("gateway", &gateway()),
        Role::Relay => document("relay", &relay()),
    }
}

fn validator() -> ValidatorConfig {
    ValidatorConfig {
        genesis: "../genesis.json".into(),
        data_dir: "data".into(),
        seat_key: "seat.key".into(),
        consensus_key: "consensus.key".into(),
        p2p_listen: loopback(8645),
        rpc_listen: loopback(8545),
        rpc_allowed_hosts: vec![DEFAULT_RPC_ALLOWED_HOST.to_owned()],
        rpc_allowed_origins: Vec::new(),
        rpc_trusted_proxies: Vec::new(),
        rpc_answer_when_final_ms: 0,
        peers: Vec::new(),
        empty_block_interval_ms: DEFAULT_EMPTY_BLOCK_INTERVAL_MS,
        leader_timeout_ms: DEFAULT_LEADER_TIMEOUT_MS,
        operator_listen: DEFAULT_OPERATOR_LISTEN,
        retain_blocks: DEFAULT_RETAIN_BLOCKS,
        retain_states: DEFAULT_RETAIN_STATES,
        archive: false,
        state_sync_blocks: DEFAULT_STATE_SYNC_BLOCKS,
        log: DEFAULT_LOG.to_owned(),
        log_format: LogFormat::default(),
        faucet: None,
    }
}

fn inference() -> InferenceConfig {
    InferenceConfig {
        genesis: "../genesis.json".into(),
        data_dir: "data".into(),
        models_dir: "models".into(),
        node_key: "node.key".into(),
        upstream_keys: BTreeMap::new(),
        upstream_authorities: None,
        payee: Address::ZERO,
        listen: loopback(8845),
        operator_listen: DEFAULT_OPERATOR_LISTEN,
        log: DEFAULT_LOG.to_owned(),
        log_format: LogFormat::default(),
    }
}

fn gateway() -> GatewayConfig {
    GatewayConfig {
        genesis: "../genesis.json".into(),
        data_dir: "data".into(),
        listen: loopback(8745),
        tls_listen: None,
        identity: None,
        keys: None,
        address_limits: DEFAULT_ADDRESS_LIMITS,
        trusted_proxies: Vec::new(),
        nodes: vec!["http://127.0.0.1:8845".to_owned()],
        rpc: vec!["http://127.0.0.1:8545".to_owned()],
        operator_listen: DEFAULT_OPERATOR_LISTEN,
        log: DEFAULT_LOG.to_owned(),
        log_format: LogFormat::default(),
    }
}

fn relay() -> RelayConfig {
    RelayConfig {
        genesis: "../genesis.json".into(),
        data_dir: "data".into(),
        listen: loopback(8746),
        rpc: vec!["http://127.0.0.1:8545".to_owned()],
        trusted_proxies: Vec::new(),
        operator_listen: DEFAULT_OPERATOR_LISTEN,
        log: DEFAULT_LOG.to_owned(),
        log_format: LogFormat::default(),
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
}

/// Every field of `config` with its documentation above it.
fn document<C: Serialize + DocumentedFields>(role: &str, config: &C) -> String {
    let values = toml::Table::try_from(config).unwrap_or_default();
    let mut text = format!(
        "# A node's configuration. Paths are relative to this file; unknown fields are errors.\n\n\
         # What the node does: validator, inference, gateway or relay.\nrole = \"{role}\"\n"
    );
    for (name, explanation) in C::FIELD_NAMES.iter().zip(C::FIELD_DOCS) {
        text.push('\n');
        comment(&mut text, explanation);
        // Writing to a string does not fail; a field without a value is one that may be left out.
        let _ = match values.get(*name) {
            Some(value) => writeln!(text, "{name} = {value}"),
            None => writeln!(text, "# {name} ="),
        };
    }
    text
}

/// Adds `explanation` as comment lines of bounded width.
fn comment(text: &mut String, explanation: &str) {
    let mut width = 0;
    for word in explanation.split_whitespace() {
        if width == 0 || width + word.len() + 1 > WIDTH {
            text.push_str(if width == 0 { "#" } else { "\n#" });
            width = 1;
        }
        text.push(' ');
        text.push_str(word);
        width += word.len() + 1;
    }
    text.push('\n');
}

//! What a configuration accepts, and how it refuses the rest.

use og_gateway::{KeyLimits, config::DEFAULT_ADDRESS_LIMITS};
use og_node::{
    config::{ConfigError, NodeConfig, Role, example},
    keys,
};
use og_types::ValidatorId;
use std::{fs, num::NonZeroU32};

const VALIDATOR: &str = r#"
role = "validator"
genesis = "../genesis.json"
data_dir = "data"
seat_key = "seat.key"
consensus_key = "consensus.key"
p2p_listen = "127.0.0.1:8645"
rpc_listen = "127.0.0.1:8545"
"#;

fn folder_with_keys() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rng = &mut rand::rng();
    keys::create_seat_key(&folder.path().join("seat.key"), rng).unwrap();
    keys::create_consensus_key(&folder.path().join("consensus.key"), rng).unwrap();
    keys::create_node_key(&folder.path().join("node.key"), rng).unwrap();
    folder
}

fn load(folder: &tempfile::TempDir, text: &str) -> Result<NodeConfig, ConfigError> {
    let path = folder.path().join("config.toml");
    fs::write(&path, text).unwrap();
    NodeConfig::load(&path)
}

fn refusal(text: &str) -> String {
    let error = load(&folder_with_keys(), text).unwrap_err();
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[test]
fn a_short_configuration_gets_the_defaults_and_paths_beside_the_file() {
    let folder = folder_with_keys();
    let NodeConfig::Validator(config) = load(&folder, VALIDATOR).unwrap() else {
        panic!("another role");
    };
    assert_eq!(config.empty_block_interval_ms, 1000);
    assert_eq!(config.leader_timeout_ms, 2000);
    assert_eq!(config.retain_blocks, 50_000);
    assert_eq!(config.state_sync_blocks, 10_000);
    assert!(!config.archive);
    assert_eq!(config.rpc_allowed_hosts, ["localhost"]);
    assert!(config.rpc_allowed_origins.is_empty() && config.rpc_trusted_proxies.is_empty());
    assert_eq!(config.rpc_answer_when_final_ms, 0);
    assert_eq!(config.log, "info");
    assert_eq!(config.data_dir, folder.path().join("data"));
    assert_eq!(config.genesis, folder.path().join("../genesis.json"));
}

#[test]
fn what_is_written_is_read_back() {
    let folder = folder_with_keys();
    let written = load(&folder, VALIDATOR).unwrap();
    let text = toml::to_string(&written).unwrap();
    assert_eq!(load(&folder, &text).unwrap(), written);
}

#[test]
fn unknown_missing_and_misspelt_fields_are_named() {
    let message = refusal(&format!("{VALIDATOR}\nrpc_port = 1\n"));
    assert!(message.contains("rpc_port"), "{message}");
    let message = refusal(&VALIDATOR.replace("genesis =", "gensis ="));
    assert!(message.contains("gensis"), "{message}");
    let message = refusal(&VALIDATOR.replace("\"validator\"", "\"miner\""));
    assert!(message.contains("miner"), "{message}");
    let message = refusal("not toml at all");
    assert!(message.contains("not a valid configuration"), "{message}");
}

#[test]
fn values_that_cannot_work_are_refused_with_the_field_s_name() {
    for (addition, field) in [
        ("empty_block_interval_ms = 0", "empty_block_interval_ms"),
        ("leader_timeout_ms = 1000", "leader_timeout_ms"),
        ("retain_blocks = 255", "retain_blocks"),
        ("state_sync_blocks = 63", "state_sync_blocks"),
        ("rpc_allowed_hosts = [\"http://a\"]", "rpc_allowed_hosts"),
        ("rpc_allowed_origins = [\"a\"]", "rpc_allowed_origins"),
        (
            "rpc_answer_when_final_ms = 10001",
            "rpc_answer_when_final_ms",
        ),
    ] {
        let message = refusal(&format!("{VALIDATOR}\n{addition}\n"));
        assert!(message.starts_with(field), "{message}");
    }
    let message = refusal(&VALIDATOR.replace(":8645", ":8545"));
    assert!(message.starts_with("listen"), "{message}");
    assert!(
        message.contains("peers") && message.contains("JSON-RPC"),
        "{message}"
    );
    let message = refusal(&VALIDATOR.replace(":8645", ":0"));
    assert!(message.starts_with("listen"), "{message}");
    let message = refusal(&VALIDATOR.replace("seat.key", "missing.key"));
    assert!(message.contains("missing.key"), "{message}");
}

#[test]
fn a_peer_stands_once_and_is_somebody_else() {
    let folder = folder_with_keys();
    let own = keys::read_seat_key(&folder.path().join("seat.key"))
        .unwrap()
        .id();
    let peer =
        |id: ValidatorId| format!("[[peers]]\nid = \"{id}\"\naddress = \"127.0.0.1:8646\"\n");
    let other = ValidatorId([7; 32]);
    load(&folder, &format!("{VALIDATOR}\n{}", peer(other))).unwrap();
    for peers in [peer(own), peer(other) + &peer(other)] {
        let error = load(&folder, &format!("{VALIDATOR}\n{peers}")).unwrap_err();
        assert!(error.to_string().starts_with("peers"), "{error}");
    }
}

#[test]
fn a_gateway_needs_addresses_that_it_can_ask() {
    let gateway = |nodes: &str, rpc: &str| {
        format!(
            "role = \"gateway\"\ngenesis = \"g\"\ndata_dir = \"d\"\nlisten = \"127.0.0.1:8745\"\nnodes = {nodes}\nrpc = {rpc}\n"
        )
    };
    let one = "[\"http://127.0.0.1:8845\"]";
    load(&folder_with_keys(), &gateway(one, one)).unwrap();
    assert!(refusal(&gateway("[]", one)).starts_with("nodes"));
    let many = format!("[{}]", vec!["\"http://127.0.0.1:8845\""; 257].join(","));
    assert!(refusal(&gateway(&many, one)).starts_with("nodes"));
    assert!(refusal(&gateway(one, "[\"127.0.0.1:8545\"]")).starts_with("rpc"));
}

#[test]
fn what_an_address_may_use_of_a_gateway_is_usual_or_said_or_not_limited() {
    let limits = |line: &str| {
        let config = format!(
            "role = \"gateway\"\ngenesis = \"g\"\ndata_dir = \"d\"\nlisten = \"127.0.0.1:8745\"\n\
             nodes = [\"http://127.0.0.1:8845\"]\nrpc = [\"http://127.0.0.1:8545\"]\n{line}\n"
        );
        let NodeConfig::Gateway(config) = load(&folder_with_keys(), &config).unwrap() else {
            panic!("another role");
        };
        config.address_limits
    };
    assert_eq!(limits(""), DEFAULT_ADDRESS_LIMITS);
    assert_eq!(limits("address_limits = {}"), KeyLimits::default());
    let said = limits("address_limits = { requests_per_minute = 20 }");
    assert_eq!(said.requests_per_minute, NonZeroU32::new(20));
    assert_eq!(said.concurrent_requests, None);
}

#[test]
fn a_relay_asks_nodes_with_and_without_tls() {
    let relay = |rpc: &str| {
        format!(
            "role = \"relay\"\ngenesis = \"g\"\ndata_dir = \"d\"\nlisten = \"127.0.0.1:8746\"\nrpc = {rpc}\n"
        )
    };
    let folder = folder_with_keys();
    load(
        &folder,
        &relay("[\"http://127.0.0.1:8545\", \"https://example.org\"]"),
    )
    .unwrap();
    assert!(refusal(&relay("[]")).starts_with("rpc"));
    assert!(refusal(&relay("[\"example.org\"]")).starts_with("rpc"));
}

#[test]
fn the_examples_can_be_used_and_say_the_defaults() {
    let folder = folder_with_keys();
    for (role, optional) in [
        (Role::Validator, 14),
        (Role::Inference, 4),
        (Role::Gateway, 5),
        (Role::Relay, 4),
    ] {
        let text = example(role);
        let whole = load(&folder, &text).unwrap();
        let settings: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let settings: Vec<_> = settings
            .into_iter()
            .filter(|line| !line.is_empty())
            .collect();
        // Whatever may be left out has the value that the example shows.
        let mut left_out = 0;
        for setting in &settings {
            if let Ok(shorter) = load(&folder, &text.replace(&format!("{setting}\n"), "")) {
                assert_eq!(shorter, whole, "{setting}");
                left_out += 1;
            }
        }
        assert_eq!(left_out, optional, "{text}");
        // And every setting stands there, below its explanation.
        let written = toml::to_string(&whole).unwrap();
        let names: toml::Table = toml::from_str(&written).unwrap();
        assert_eq!(names.len(), settings.len(), "{text}");
        for name in names.keys() {
            let (above, _) = text.split_once(&format!("\n{name} = ")).unwrap();
            assert!(above.lines().last().unwrap().starts_with("# "), "{name}");
        }
    }
}

#[test]
fn a_file_without_end_is_not_read_to_its_end() {
    let error = NodeConfig::load("/dev/zero".as_ref()).unwrap_err();
    assert!(matches!(error, ConfigError::TooLong { .. }), "{error}");
}

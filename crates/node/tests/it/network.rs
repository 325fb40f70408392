//! What a new network's folder holds, and which plans are refused.

use alloy_primitives::B256;
use og_node::{
    config::NodeConfig,
    keys,
    network::{
        DEFAULT_CHAIN_ID, Network, NetworkError, NetworkPlan, RESERVED_CHAIN_IDS, read_genesis,
    },
};
use std::{collections::BTreeSet, fs, path::Path};

fn plan() -> NetworkPlan {
    NetworkPlan {
        timestamp_ms: 1_800_000_000_000,
        ..NetworkPlan::default()
    }
}

fn create(directory: &Path, plan: &NetworkPlan) -> Result<Network, NetworkError> {
    Network::create(directory, plan, &mut rand::rng())
}

#[test]
fn a_new_network_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("devnet");
    let network = create(&directory, &plan()).unwrap();

    let names: Vec<_> = network.nodes.iter().map(|node| &*node.name).collect();
    assert_eq!(
        names,
        [
            "validator-0",
            "validator-1",
            "validator-2",
            "validator-3",
            "inference-0",
            "gateway",
            "relay"
        ]
    );
    let ports: BTreeSet<_> = network
        .nodes
        .iter()
        .flat_map(|node| node.config.listens())
        .map(|(_, address)| address.port())
        .collect();
    assert_eq!(
        ports.into_iter().collect::<Vec<_>>(),
        [
            8545, 8546, 8547, 8548, 8645, 8646, 8647, 8648, 8745, 8795, 8805, 8845, 8945, 8946,
            8947, 8948, 9145, 9205, 9245
        ]
    );
    assert_eq!(network.endpoints.rpc, "http://127.0.0.1:8545");
    assert_eq!(network.endpoints.gateway, "http://127.0.0.1:8745");
    let relay = network.endpoints.relay.as_deref();
    assert_eq!(relay, Some("http://127.0.0.1:8805"));
    for node in &network.nodes {
        let url = format!("http://{}", node.config.operator_listen());
        assert_eq!(network.endpoints.operators[&node.name], url);
    }

    let genesis = read_genesis(&network.genesis_path()).unwrap();
    assert_eq!(genesis.chain_id, DEFAULT_CHAIN_ID);
    og_chain::rules::Rules::new(genesis.clone()).unwrap();
    let registry = &genesis.alloc[&og_chain::registry::REGISTRY];
    let NodeConfig::Inference(config) = &network.nodes[4].config else {
        panic!("another role");
    };
    let node = keys::read_node_key(&config.node_key).unwrap().id();
    let slot: B256 = og_chain::registry::node_payee_slot(&node).into();
    assert_eq!(registry.storage[&slot], config.payee.into_word());
    for model in og_engine::BUILT_IN {
        let slot = og_chain::registry::model_owner_slot(&model.id().unwrap());
        assert!(registry.storage.contains_key(&B256::from(slot)));
    }
    let supply = genesis.alloc.values().map(|account| account.balance).sum();
    for (address, contract) in og_chain::contracts::predeploys(DEFAULT_CHAIN_ID, supply).unwrap() {
        assert_eq!(genesis.alloc[&address], contract);
    }
    let NodeConfig::Gateway(config) = &network.nodes[5].config else {
        panic!("another role");
    };
    let identity = keys::read_gateway_identity(config.identity.as_ref().unwrap()).unwrap();
    let tee_registry = &genesis.alloc[&og_chain::contracts::TEE_REGISTRY];
    let mut listed = tee_registry.storage.values();
    assert!(listed.any(|value| *value == identity.signing.tee_id()));
    let accounts = network.accounts().unwrap();
    assert_eq!(accounts.len(), 10);
    for account in &accounts {
        let signer: alloy_signer_local::PrivateKeySigner =
            account.private_key.to_string().parse().unwrap();
        assert_eq!(signer.address(), account.address);
        assert_eq!(
            genesis.alloc[&account.address].balance.to_string(),
            "10000000000000000000000"
        );
    }
}

#[test]
#[cfg(unix)]
fn secrets_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    create(folder.path(), &plan()).unwrap();
    for secret in [
        "accounts.json",
        "validator-0/seat.key",
        "validator-0/consensus.key",
        "validator-0/account.key",
        "inference-0/node.key",
        "inference-0/account.key",
    ] {
        let mode = folder.path().join(secret).metadata().unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{secret}");
    }
}

#[test]
fn several_hosts_take_turns_and_listen_on_all_their_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = ["10.0.0.1", "10.0.0.2"];
    let plan = NetworkPlan {
        hosts: hosts.map(|host| host.parse().unwrap()).to_vec(),
        ..plan()
    };
    let network = create(folder.path(), &plan).unwrap();
    assert_eq!(network.endpoints.rpcs[1], "http://10.0.0.2:8546");
    // Whoever watches one host's traffic does not see both who asks and what.
    let relay = network.endpoints.relay.as_deref();
    assert_eq!(relay, Some("http://10.0.0.2:8805"));
    let NodeConfig::Validator(config) = &network.nodes[0].config else {
        panic!("another role");
    };
    assert_eq!(config.p2p_listen.to_string(), "0.0.0.0:8645");
    // Figures are for whoever is on the host.
    assert_eq!(config.operator_listen.to_string(), "127.0.0.1:8945");
    assert_eq!(config.peers[0].address.to_string(), "10.0.0.2:8646");
}

#[test]
fn json_rpc_is_open_to_pages_and_patient_where_the_plan_says_so_and_nowhere_else() {
    for (development, hosts, origins) in [(false, "localhost", None), (true, "*", Some("*"))] {
        let folder = tempfile::tempdir().unwrap();
        let plan = NetworkPlan {
            development,
            ..plan()
        };
        let network = create(folder.path(), &plan).unwrap();
        for node in &network.nodes {
            if let NodeConfig::Validator(config) = &node.config {
                assert_eq!(config.rpc_allowed_hosts, [hosts]);
                assert_eq!(
                    config.rpc_allowed_origins.first().map(String::as_str),
                    origins
                );
                assert_eq!(config.rpc_answer_when_final_ms > 0, development);
            }
        }
    }
}

#[test]
fn a_network_for_development_has_a_faucet_and_no_other_has() {
    for development in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let plan = NetworkPlan {
            development,
            ..plan()
        };
        let network = create(folder.path(), &plan).unwrap();
        let url = development.then_some("http://127.0.0.1:8545/faucet");
        assert_eq!(network.endpoints.faucet.as_deref(), url);
        let genesis = read_genesis(&network.genesis_path()).unwrap();
        let mut faucets = 0;
        for node in &network.nodes {
            let NodeConfig::Validator(config) = &node.config else {
                continue;
            };
            let Some(faucet) = &config.faucet else {
                continue;
            };
            let signer = keys::read_account_key(&faucet.key).unwrap();
            let balance = genesis.alloc[&signer.address()].balance;
            assert!(balance > genesis.alloc[&network.accounts().unwrap()[0].address].balance);
            faucets += 1;
        }
        assert_eq!(faucets, usize::from(development));
    }
}

#[test]
fn a_folder_with_something_in_it_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("thesis.txt");
    fs::write(&file, "irreplaceable").unwrap();
    let error = create(folder.path(), &plan()).unwrap_err();
    assert!(matches!(error, NetworkError::NotEmpty(_)), "{error}");
    assert_eq!(fs::read_to_string(file).unwrap(), "irreplaceable");
    let error = Network::open(folder.path()).unwrap_err();
    assert!(matches!(error, NetworkError::Missing(_)), "{error}");
}

#[test]
fn plans_that_cannot_work_are_refused_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("devnet");
    for chain_id in RESERVED_CHAIN_IDS {
        let error = create(&directory, &NetworkPlan { chain_id, ..plan() }).unwrap_err();
        assert!(error.to_string().contains(&chain_id.to_string()), "{error}");
    }
    for plan in [
        NetworkPlan {
            validators: 0,
            ..plan()
        },
        NetworkPlan {
            validators: 101,
            ..plan()
        },
        NetworkPlan {
            inference: 0,
            ..plan()
        },
        NetworkPlan {
            base_port: 65_500,
            ..plan()
        },
        NetworkPlan {
            epoch_length: 0,
            ..plan()
        },
    ] {
        let error = create(&directory, &plan).unwrap_err();
        assert!(matches!(error, NetworkError::Range { .. }), "{error}");
    }
    let plan = NetworkPlan {
        hosts: vec![],
        ..plan()
    };
    assert!(matches!(
        create(&directory, &plan),
        Err(NetworkError::NoHosts)
    ));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_damaged_genesis_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("genesis.json");
    fs::write(&path, "{\"version\": 1,").unwrap();
    let error = read_genesis(&path).unwrap_err();
    assert!(error.to_string().contains("genesis.json"), "{error}");
}

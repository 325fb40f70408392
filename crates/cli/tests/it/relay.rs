//! A relay beside a network whose genesis file names a gateway.

use super::{
    cluster::{Cluster, VALIDATORS, get},
    support::{free_base_port, read_json, wait_for},
};
use alloy_primitives::{Address, B256};
use og_chain::contracts::{GenesisTee, TEE_REGISTRY, TeeRegistryGenesis, tee_registry};
use og_opengradient::{SigningKey, TlsIdentity};
use serde_json::Value;
use std::fs;

/// Puts a gateway, which nobody runs, into the genesis file; what it is called.
fn name_a_gateway(cluster: &Cluster) -> B256 {
    let path = cluster.path("genesis.json");
    let mut genesis = read_json(&path);
    let key = SigningKey::generate().unwrap();
    let tls = TlsIdentity::generate(&[], &(0..=4_000_000_000)).unwrap();
    let tee = GenesisTee {
        owner: Address::repeat_byte(1),
        payment_address: Address::repeat_byte(2),
        endpoint: "https://127.0.0.1:1".to_owned(),
        public_key: key.public_key().to_vec(),
        tls_certificate: tls.certificate().to_vec(),
        ohttp_public_key: B256::repeat_byte(9),
    };
    let tees = TeeRegistryGenesis {
        tees: vec![tee],
        ..TeeRegistryGenesis::default()
    };
    let chain_id = genesis["chain_id"].as_u64().unwrap();
    let (_, account) = tee_registry(chain_id, &tees).unwrap();
    let address = format!("{TEE_REGISTRY:#x}");
    assert!(genesis["alloc"].get(&address).is_some(), "{genesis}");
    genesis["alloc"][&address] = serde_json::to_value(account).unwrap();
    fs::write(path, genesis.to_string()).unwrap();
    key.tee_id()
}

/// What a relay answers to a request for a gateway.
fn ask(url: &str, tee_id: B256) -> (u16, Value) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let request = reqwest::Client::new()
            .post(url)
            .header("content-type", "message/ohttp-req")
            .header("x-tee-id", tee_id.to_string())
            .body("sealed");
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    })
}

#[test]
fn a_relay_knows_the_gateways_of_the_chain() {
    let mut cluster = Cluster::unstarted("127.0.0.1");
    let tee_id = name_a_gateway(&cluster);
    let port = free_base_port();
    let (clients, operators) = (
        format!("127.0.0.1:{port}"),
        format!("127.0.0.1:{}", port + 1),
    );
    fs::create_dir(cluster.path("relay")).unwrap();
    let config = format!(
        "role = \"relay\"\ngenesis = \"../genesis.json\"\ndata_dir = \"data\"\nlisten = \"{clients}\"\n\
         operator_listen = \"{operators}\"\nrpc = [\"{}\"]\n",
        cluster.rpc_url("validator-0")
    );
    fs::write(cluster.path("relay/config.toml"), config).unwrap();
    for name in VALIDATORS {
        cluster.start_node(name);
    }
    for name in VALIDATORS {
        cluster.wait_ready(name);
    }
    cluster.start_node("relay");
    let readiness = wait_for("a relay that is ready", || {
        let (status, text) = get(&format!("http://{operators}/readyz"))?;
        (status == 200).then_some(text)
    });
    let readiness: Value = serde_json::from_str(&readiness).unwrap();
    assert_eq!(readiness["checks"][1]["detail"], "1 gateways");

    let url = format!("http://{clients}/api/v1/chat/ohttp");
    let (status, body) = ask(&url, tee_id);
    assert_eq!(status, 502, "{body}");
    assert!(body["error"].is_string(), "{body}");
    let (status, body) = ask(&url, B256::ZERO);
    assert_eq!(status, 404, "{body}");
    cluster.stop("relay");
}

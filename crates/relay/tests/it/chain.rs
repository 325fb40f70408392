//! A node of the chain, as far as a relay asks it.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall as _, sol};
use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

sol! {
    struct OhttpConfig {
        uint8 keyId;
        uint16 kemId;
        uint16 kdfId;
        uint16 aeadId;
        bytes publicKey;
        bytes keyConfig;
        uint256 registeredAt;
    }
    struct TEEInfo {
        address owner;
        address paymentAddress;
        string endpoint;
        bytes publicKey;
        bytes tlsCertificate;
        bytes32 pcrHash;
        uint8 teeType;
        bool enabled;
        uint256 registeredAt;
        uint256 lastHeartbeatAt;
        OhttpConfig ohttpConfig;
    }
    function getActiveTEEs(uint8 teeType) external view returns (TEEInfo[] tees);
}

pub(crate) const CHAIN_ID: u64 = 88_211;
pub(crate) const REGISTRY: Address = Address::repeat_byte(0xa3);

/// What a test registers.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) endpoint: String,
    pub(crate) public_key: Vec<u8>,
    pub(crate) certificate: Vec<u8>,
    pub(crate) ohttp_key: Vec<u8>,
}

/// A node with a registry, which a test can change.
#[derive(Clone)]
pub(crate) struct Chain {
    pub(crate) url: String,
    pub(crate) rows: Arc<Mutex<Vec<Row>>>,
}

impl Chain {
    pub(crate) async fn begin(chain_id: u64, rows: Vec<Row>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let rows = Arc::new(Mutex::new(rows));
        let app = Router::new()
            .route("/", post(answer))
            .with_state((chain_id, rows.clone()));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, rows }
    }
}

async fn answer(
    State((chain_id, rows)): State<(u64, Arc<Mutex<Vec<Row>>>)>,
    Json(question): Json<Value>,
) -> Json<Value> {
    let result = match question["method"].as_str().expect("a method") {
        "eth_chainId" => json!(format!("{chain_id:#x}")),
        "eth_call" => {
            assert_eq!(question["params"][0]["to"], json!(REGISTRY));
            let rows = rows.lock().expect("rows");
            let rows = rows.iter().map(tee).collect();
            json!(Bytes::from(getActiveTEEsCall::abi_encode_returns(&rows)))
        }
        method => panic!("a relay needs no {method}"),
    };
    Json(json!({ "jsonrpc": "2.0", "id": question["id"], "result": result }))
}

fn tee(row: &Row) -> TEEInfo {
    TEEInfo {
        owner: Address::ZERO,
        paymentAddress: Address::ZERO,
        endpoint: row.endpoint.clone(),
        publicKey: Bytes::from(row.public_key.clone()),
        tlsCertificate: Bytes::from(row.certificate.clone()),
        pcrHash: B256::ZERO,
        teeType: 0,
        enabled: true,
        registeredAt: U256::ZERO,
        lastHeartbeatAt: U256::ZERO,
        ohttpConfig: OhttpConfig {
            keyId: 1,
            kemId: 0x20,
            kdfId: 1,
            aeadId: 3,
            publicKey: Bytes::from(row.ohttp_key.clone()),
            keyConfig: Bytes::new(),
            registeredAt: U256::ZERO,
        },
    }
}

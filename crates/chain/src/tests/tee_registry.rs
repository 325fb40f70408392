//! The registry of gateways: what published clients read of it, and what gateways do to it.

use super::{opg::run, predeploys::started_with, support::*};
use crate::{
    CallOutcome, CallRequest, Candidates,
    call::MAX_CALL_GAS,
    contracts::{ConstructorError, GenesisTee, TEE_REGISTRY, TeeRegistryGenesis, tee_registry},
};
use alloy_primitives::{Address, B256, Bytes, U256, address, hex, keccak256};
use alloy_sol_types::{SolCall, SolEvent as _, sol};
use og_opengradient::{SigningKey, hash};
use std::{iter::once, sync::LazyLock};

sol! {
    /// What published clients know, and below it what is ours.
    #[derive(Debug, PartialEq)]
    interface TeeRegistry {
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
        function getEnabledTEEs(uint8 teeType) external view returns (bytes32[] ids);
        function getTEEsByType(uint8 teeType) external view returns (bytes32[] ids);
        function getTEE(bytes32 teeId) external view returns (TEEInfo tee);
        function isTEEActive(bytes32 teeId) external view returns (bool active);
        function isTEEEnabled(bytes32 teeId) external view returns (bool enabled);
        function heartbeat(bytes32 teeId, uint256 timestamp, bytes signature) external;
        event TEERegistered(bytes32 indexed teeId, address indexed owner, uint8 teeType);
        event HeartbeatReceived(bytes32 indexed teeId, uint256 timestamp);

        struct Registration {
            address paymentAddress;
            string endpoint;
            bytes publicKey;
            bytes tlsCertificate;
            uint8 teeType;
            bytes32 ohttpPublicKey;
        }
        function evidence(bytes32 teeId) external view returns (uint8 evidence);
        function SIMULATED_PCR_HASH() external view returns (bytes32 hash);
        function registrationHash(Registration tee, address owner) external view returns (bytes32 hash);
        function register(Registration tee, bytes signature) external returns (bytes32 teeId);
    }
}

const OWNER: Address = address!("0x00000000000000000000000000000000000a11ce");
const ENDPOINT: &str = "https://203.0.113.7:8443";
const SIMULATED: u8 = 1;

/// Making one takes a while.
static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().unwrap());

fn tee(public_key: &[u8]) -> GenesisTee {
    GenesisTee {
        owner: OWNER,
        payment_address: PAYEE,
        endpoint: ENDPOINT.to_owned(),
        public_key: public_key.to_vec(),
        tls_certificate: vec![0x30, 0],
        ohttp_public_key: B256::repeat_byte(9),
    }
}

/// A key like another in form only.
fn unused_key(number: u8) -> Vec<u8> {
    let mut key = KEY.public_key().to_vec();
    key[288] = number;
    key
}

fn begun(genesis: &TeeRegistryGenesis) -> TestChain {
    started_with(once(tee_registry(CHAIN_ID, genesis).unwrap()))
}

fn call(chain: &mut TestChain, data: Vec<u8>) -> (Bytes, u64) {
    let request = CallRequest {
        to: Some(TEE_REGISTRY),
        data: data.into(),
        ..CallRequest::default()
    };
    match chain.call(&request) {
        CallOutcome::Success {
            output, gas_used, ..
        } => (output, gas_used),
        outcome => panic!("{outcome:?}"),
    }
}

fn read<C: SolCall>(chain: &mut TestChain, question: &C) -> C::Return {
    C::abi_decode_returns(&call(chain, question.abi_encode()).0).unwrap()
}

#[test]
fn functions_and_events_are_those_of_the_published_interface() {
    let selectors = [
        (TeeRegistry::getActiveTEEsCall::SELECTOR, hex!("4b6014da")),
        (TeeRegistry::getEnabledTEEsCall::SELECTOR, hex!("63b86b89")),
        (TeeRegistry::getTEEsByTypeCall::SELECTOR, hex!("b82644b7")),
        (TeeRegistry::getTEECall::SELECTOR, hex!("418b207d")),
        (TeeRegistry::isTEEActiveCall::SELECTOR, hex!("a3bf31f1")),
        (TeeRegistry::isTEEEnabledCall::SELECTOR, hex!("927d3c95")),
        (TeeRegistry::heartbeatCall::SELECTOR, hex!("42830ad8")),
    ];
    for (ours, published) in selectors {
        assert_eq!(ours, published);
    }
    // The compiled contract has them.
    let (_, account) = tee_registry(CHAIN_ID, &TeeRegistryGenesis::default()).unwrap();
    for (selector, _) in selectors {
        assert!(account.code.windows(4).any(|window| window == selector));
    }
}

#[test]
fn a_chain_may_begin_with_gateways_and_says_that_nothing_vouches_for_them() {
    let tees = vec![tee(KEY.public_key())];
    let mut chain = begun(&TeeRegistryGenesis {
        tees,
        ..Default::default()
    });
    let rows = read(&mut chain, &TeeRegistry::getActiveTEEsCall { teeType: 0 });
    let [row] = rows.as_slice() else {
        panic!("{rows:?}")
    };
    let tee_id = KEY.tee_id();
    assert_eq!(
        row,
        &read(&mut chain, &TeeRegistry::getTEECall { teeId: tee_id })
    );
    assert_eq!((row.owner, row.paymentAddress), (OWNER, PAYEE));
    assert_eq!(
        (row.endpoint.as_str(), row.teeType, row.enabled),
        (ENDPOINT, 0, true)
    );
    assert_eq!(keccak256(&row.publicKey), tee_id);
    assert_eq!(row.tlsCertificate.as_ref(), [0x30, 0]);
    // Since the genesis file.
    assert_eq!(
        (row.registeredAt, row.lastHeartbeatAt),
        (U256::ZERO, U256::ZERO)
    );
    let ohttp = &row.ohttpConfig;
    assert_eq!(
        (ohttp.keyId, ohttp.kemId, ohttp.kdfId, ohttp.aeadId),
        (1, 0x20, 1, 3)
    );
    let config = og_opengradient::ohttp::KeyConfig::new([9; 32]);
    assert_eq!(ohttp.publicKey.as_ref(), config.public_key);
    assert_eq!(ohttp.keyConfig.as_ref(), config.to_bytes());

    let simulated = read(&mut chain, &TeeRegistry::SIMULATED_PCR_HASHCall {});
    assert_eq!(row.pcrHash, simulated);
    assert_eq!(
        read(&mut chain, &TeeRegistry::evidenceCall { teeId: tee_id }),
        SIMULATED
    );
    assert_eq!(
        read(&mut chain, &TeeRegistry::evidenceCall { teeId: B256::ZERO }),
        0
    );
    // Nobody else gets in.
    assert!(!register(&mut chain).success);
}

/// Signer 0 registers a gateway of this key in a transaction.
fn register(chain: &mut TestChain) -> crate::TransactionReceipt {
    let owner = signer(0).address();
    let tee = TeeRegistry::Registration {
        paymentAddress: PAYEE,
        endpoint: ENDPOINT.to_owned(),
        publicKey: Bytes::copy_from_slice(KEY.public_key()),
        tlsCertificate: vec![0x30; 450].into(),
        teeType: 0,
        ohttpPublicKey: B256::repeat_byte(9),
    };
    let question = TeeRegistry::registrationHashCall {
        tee: tee.clone(),
        owner,
    };
    let hash = read(chain, &question);
    let signature = KEY.sign(hash).unwrap().to_vec().into();
    let input = TeeRegistry::registerCall { tee, signature }.abi_encode();
    let nonce = chain.account(owner).nonce;
    let mut transaction = eip1559(nonce, TEE_REGISTRY.into(), 0, input.into());
    transaction.gas_limit = 2_000_000;
    run(chain, decode(&sign(0, transaction)))
}

#[test]
fn a_gateway_registers_itself_and_is_heard_where_the_genesis_file_allows_it() {
    let mut chain = begun(&TeeRegistryGenesis {
        self_registration: true,
        heartbeat_max_age_s: 60,
        tees: Vec::new(),
    });
    let tee_id = KEY.tee_id();
    let receipt = register(&mut chain);
    assert!(receipt.success);
    assert!(receipt.gas_used < 1_200_000, "{}", receipt.gas_used);
    let event = TeeRegistry::TEERegistered::decode_raw_log(
        receipt.logs[0].topics.iter().copied(),
        &receipt.logs[0].data,
    );
    assert_eq!(event.unwrap().owner, signer(0).address());
    let active = TeeRegistry::isTEEActiveCall { teeId: tee_id };
    assert!(read(&mut chain, &active));

    // Silent for two minutes, then heard, through somebody else.
    for _ in 0..2 {
        let later = chain.slot_at(chain.parent().timestamp_ms + 60_000);
        chain.advance_at(&later, Candidates::default());
    }
    assert!(!read(&mut chain, &active));
    assert!(read(&mut chain, &TeeRegistry::getActiveTEEsCall { teeType: 0 }).is_empty());
    let now_s = chain.parent().timestamp_ms / 1000;
    let signature = KEY.sign(hash::heartbeat_hash(tee_id, now_s)).unwrap();
    let heartbeat = TeeRegistry::heartbeatCall {
        teeId: tee_id,
        timestamp: U256::from(now_s),
        signature: signature.to_vec().into(),
    };
    let receipt = run(&mut chain, send(1, 0, TEE_REGISTRY, heartbeat.abi_encode()));
    assert!(
        receipt.success && receipt.gas_used < 110_000,
        "{}",
        receipt.gas_used
    );
    assert!(read(&mut chain, &active));
    let row = read(&mut chain, &TeeRegistry::getTEECall { teeId: tee_id });
    assert_eq!(row.lastHeartbeatAt, U256::from(now_s));
}

#[test]
fn a_full_registry_of_the_longest_rows_is_read_in_one_call() {
    let gas = |rows: u8| {
        let tees = (0..rows).map(|number| GenesisTee {
            endpoint: "x".repeat(128),
            tls_certificate: vec![1; 1024],
            ..tee(&unused_key(number))
        });
        let tees = tees.collect();
        let mut chain = begun(&TeeRegistryGenesis {
            tees,
            ..Default::default()
        });
        let question = TeeRegistry::getActiveTEEsCall { teeType: 0 }.abi_encode();
        let (output, gas) = call(&mut chain, question);
        let found = TeeRegistry::getActiveTEEsCall::abi_decode_returns(&output).unwrap();
        assert_eq!(found.len(), usize::from(rows));
        gas
    };
    let (of_six, of_twelve) = (gas(6), gas(12));
    let of_one = (of_twelve - of_six) / 6;
    // A tenth more for memory, whose price grows with its square.
    let of_all = 64 * of_one * 11 / 10;
    assert!(of_all < MAX_CALL_GAS, "{of_all}");
}

#[test]
fn a_genesis_file_gets_no_row_that_is_none() {
    let mistakes: [fn(&mut GenesisTee); 6] = [
        |tee| tee.owner = Address::ZERO,
        |tee| tee.endpoint.clear(),
        |tee| tee.endpoint = "x".repeat(129),
        |tee| tee.tls_certificate.clear(),
        |tee| tee.public_key[5] ^= 1,
        |tee| tee.public_key.clear(),
    ];
    for mistake in mistakes {
        let mut tee = tee(KEY.public_key());
        mistake(&mut tee);
        let tees = vec![tee];
        let genesis = TeeRegistryGenesis {
            tees,
            ..Default::default()
        };
        let error = tee_registry(CHAIN_ID, &genesis).unwrap_err();
        assert!(
            matches!(error, ConstructorError::Reverted(TEE_REGISTRY, _)),
            "{error}"
        );
    }
    let twice = vec![tee(KEY.public_key()), tee(KEY.public_key())];
    let genesis = TeeRegistryGenesis {
        tees: twice,
        ..Default::default()
    };
    assert!(tee_registry(CHAIN_ID, &genesis).is_err());
}

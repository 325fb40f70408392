//! The Registry, through transactions and calls, and what its storage means to the rules.

use super::support::*;
use crate::{
    CallError, CallOutcome, CallRequest, Key,
    call::MAX_CALL_GAS,
    registry::{REGISTRY, Registry, model_owner_slot, node_payee_slot},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall, SolError, SolEvent};
use og_types::ModelId;

fn register(from: u8, nonce: u64, model: &ModelId, name: &str) -> crate::Transaction {
    let call = Registry::registerModelCall {
        id: model.0.into(),
        name: name.to_owned(),
    };
    send(from, nonce, REGISTRY, call.abi_encode())
}

fn read(chain: &mut TestChain, data: Vec<u8>) -> CallOutcome {
    chain.call(&CallRequest {
        to: Some(REGISTRY),
        data: data.into(),
        ..CallRequest::default()
    })
}

#[test]
fn anyone_registers_a_model_once_and_its_records_are_admitted_from_then_on() {
    let mut chain = TestChain::started();
    let model = ModelId([42; 32]);
    let mut claim = record(1, chain.slot().timestamp_ms);
    claim.model = model;
    let signed = sign_record(claim);
    assert!(
        chain
            .build(&chain.slot(), &records([signed.clone()]))
            .records
            .is_empty()
    );
    // In the very block that registers the model its records are good: transactions come first.
    let mut candidates = transactions([register(1, 0, &model, "digits")]);
    candidates.records = verified(vec![signed.clone()]);
    let executed = chain.advance(candidates);
    assert_eq!(chain.head.records(), [signed]);
    let log = &executed.receipts[0].logs[0];
    assert_eq!(log.address, REGISTRY);
    let event =
        Registry::ModelRegistered::decode_raw_log(log.topics.iter().copied(), &log.data).unwrap();
    let owner = signer(1).address();
    let expected = Registry::ModelRegistered {
        id: model.0.into(),
        owner,
        name: "digits".to_owned(),
    };
    assert_eq!(event, expected);
    let slot = Key::storage(REGISTRY, model_owner_slot(&model));
    assert_eq!(chain.state[&slot].as_ref(), owner.into_word().as_slice());
    // Nobody takes it over.
    let again = chain.advance(transactions([register(2, 0, &model, "mine")]));
    assert!(!again.receipts[0].success);
    assert_eq!(chain.state[&slot].as_ref(), owner.into_word().as_slice());
    let outcome = chain.call(&CallRequest {
        from: signer(2).address(),
        to: Some(REGISTRY),
        data: Registry::registerModelCall {
            id: model.0.into(),
            name: "mine".to_owned(),
        }
        .abi_encode()
        .into(),
        ..CallRequest::default()
    });
    let CallOutcome::Revert { output, .. } = &outcome else {
        panic!("{outcome:?}")
    };
    let error = Registry::ModelAlreadyRegistered::abi_decode(output).unwrap();
    assert_eq!(error.id, B256::from(model.0));
}

#[test]
fn names_are_bounded() {
    let mut chain = TestChain::started();
    for name in [String::new(), "x".repeat(129)] {
        let call = Registry::registerModelCall {
            id: B256::ZERO,
            name: name.clone(),
        };
        let outcome = read(&mut chain, call.abi_encode());
        let CallOutcome::Revert { output, .. } = outcome else {
            panic!()
        };
        let error = Registry::NameLength::abi_decode(&output).unwrap();
        assert_eq!(error.length, U256::from(name.len()));
    }
}

#[test]
fn the_contract_and_the_slot_helpers_agree() {
    let mut chain = TestChain::started();
    let id = node().id();
    let outcome = read(
        &mut chain,
        Registry::nodePayeeCall { id: id.0.into() }.abi_encode(),
    );
    let CallOutcome::Success { output, gas_used } = outcome else {
        panic!()
    };
    assert_eq!(
        Registry::nodePayeeCall::abi_decode_returns(&output).unwrap(),
        PAYEE
    );
    assert!(gas_used > 21_000);
    let payee = &chain.state[&Key::storage(REGISTRY, node_payee_slot(&id))];
    assert_eq!(payee.as_ref(), PAYEE.into_word().as_slice());
    let outcome = read(
        &mut chain,
        Registry::modelOwnerCall { id: MODEL.0.into() }.abi_encode(),
    );
    let CallOutcome::Success { output, .. } = outcome else {
        panic!()
    };
    assert_eq!(
        Registry::modelOwnerCall::abi_decode_returns(&output).unwrap(),
        PAYEE
    );
}

#[test]
fn calls_charge_nothing_check_little_and_change_nothing() {
    let mut chain = TestChain::started();
    let before = chain.state.clone();
    let request = CallRequest {
        from: Address::repeat_byte(0x77),
        to: Some(Address::repeat_byte(0x78)),
        gas_price: u128::from(u64::MAX),
        ..CallRequest::default()
    };
    let outcome = chain.call(&request);
    let expected = CallOutcome::Success {
        output: Bytes::new(),
        gas_used: 21_000,
    };
    assert_eq!(outcome, expected);
    assert_eq!(chain.state, before);
    let try_call = |request: &CallRequest| chain.try_call(request);
    let error = try_call(&CallRequest {
        gas: Some(MAX_CALL_GAS + 1),
        ..request.clone()
    });
    assert_eq!(error, Err(CallError::Gas(MAX_CALL_GAS + 1)));
    let error = try_call(&CallRequest {
        value: U256::from(1),
        ..request.clone()
    });
    assert!(matches!(error, Err(CallError::Funds { .. })));
    let error = try_call(&CallRequest {
        gas: Some(20_000),
        ..request.clone()
    });
    assert!(matches!(error, Err(CallError::Invalid(_))), "{error:?}");
    let error = try_call(&CallRequest {
        data: vec![0; 200_000].into(),
        ..request
    });
    assert_eq!(error, Err(CallError::Data(200_000)));
}

#[test]
fn a_call_reports_reverts_with_their_reason_and_halts_by_name() {
    let mut chain = TestChain::started();
    // A constructor that reverts with Error("no"), and one that is no instruction at all.
    let mut revert = vec![
        0x60, 100, 0x60, 12, 0x5f, 0x39, 0x60, 100, 0x5f, 0xfd, 0x00, 0x00,
    ];
    revert.extend(alloy_sol_types::Revert::from("no").abi_encode());
    let outcome = chain.call(&CallRequest {
        data: revert.into(),
        ..CallRequest::default()
    });
    assert_eq!(
        outcome.revert_reason().as_deref(),
        Some("no"),
        "{outcome:?}"
    );
    let outcome = chain.call(&CallRequest {
        data: vec![0xfe].into(),
        ..CallRequest::default()
    });
    assert!(matches!(outcome, CallOutcome::Halt { .. }), "{outcome:?}");
}

#[test]
fn the_code_of_the_predeploy_is_that_of_the_artifact() {
    let artifact = include_str!("../../../../contracts/artifacts/Registry.json");
    let code = &chain_code();
    assert!(artifact.contains(&format!("\"runtimeBytecode\": \"{code}\"")));
}

/// The Registry's code as the state has it.
fn chain_code() -> Bytes {
    let chain = TestChain::started();
    chain.state[&Key::code(chain.account(REGISTRY).code_hash)].clone()
}

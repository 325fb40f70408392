//! The native-move precompile: who may call it, how, and what that costs.

use super::{
    opg::{run, transfer_call, try_call},
    predeploys::{deploy, started, started_with},
    support::*,
};
use crate::{
    BlockError, CallError, CallOutcome, CallRequest, Key, StateError, contracts::OPG,
    precompile::NATIVE_MOVE,
};
use alloy_consensus::TxEip7702;
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_signer::SignerSync as _;
use alloy_sol_types::{SolCall as _, SolValue as _, sol};
use og_types::GenesisAccount;

const WALLET: &[u8] =
    include_bytes!("../../../../contracts/artifacts/fixtures/Wallet.creation.bin");
const FROM: u8 = 2;
const TO: Address = Address::repeat_byte(0x44);
const CALL: u8 = 0xf1;
const CALLCODE: u8 = 0xf2;
const DELEGATECALL: u8 = 0xf4;
const STATICCALL: u8 = 0xfa;

sol! {
    interface Wallet {
        function execute(address target, bytes calldata data) external payable returns (bytes memory);
        function executeDelegate(address target, bytes calldata data) external returns (bytes memory);
        function executeStatic(address target, bytes calldata data) external view returns (bytes memory);
    }
}

/// The input that moves `amount` from account [`FROM`] to [`TO`].
fn input(amount: u64) -> Vec<u8> {
    (signer(FROM).address(), TO, U256::from(amount)).abi_encode_params()
}

/// Code that passes its input on to the precompile by `instruction`, with `value` where it has one,
/// and returns or reverts with what comes back.
fn passes_on(instruction: u8, value: u8) -> Vec<u8> {
    // SLOAD(0), POP: enough gas that the floor of EIP-7623 is never what a call costs.
    let mut code = vec![0x5f, 0x54, 0x50];
    // CALLDATACOPY(0, 0, CALLDATASIZE); no room for the output, input at 0.
    code.extend([0x36, 0x5f, 0x5f, 0x37, 0x5f, 0x5f, 0x36, 0x5f]);
    if matches!(instruction, CALL | CALLCODE) {
        code.extend([0x60, value]);
    }
    // PUSH2 the precompile's address, GAS, the instruction; RETURNDATACOPY(0, 0, RETURNDATASIZE).
    code.extend([0x61, 0x0a, 0x10, 0x5a, instruction, 0x3d, 0x5f, 0x5f, 0x3e]);
    // JUMPI to the end if it succeeded, else REVERT; the end: RETURN.
    let end = u8::try_from(code.len() + 6).unwrap();
    code.extend([0x60, end, 0x57, 0x3d, 0x5f, 0xfd, 0x5b, 0x3d, 0x5f, 0xf3]);
    code
}

/// A chain on which this code stands where OPG does elsewhere.
fn chain_where_opg_is(code: Vec<u8>) -> TestChain {
    let account = GenesisAccount {
        balance: U256::from(5),
        code: code.into(),
        ..GenesisAccount::default()
    };
    started_with([(OPG, account)])
}

/// The reason with which a call reverts.
fn reason(chain: &mut TestChain, to: Address, data: Vec<u8>) -> String {
    let outcome = chain.call(&CallRequest {
        from: signer(0).address(),
        to: Some(to),
        data: data.into(),
        ..CallRequest::default()
    });
    outcome
        .revert_reason()
        .unwrap_or_else(|| panic!("{outcome:?}"))
}

#[test]
fn it_obeys_a_plain_call_of_the_contract_at_opgs_address() {
    let mut chain = chain_where_opg_is(passes_on(CALL, 0));
    let outcome = try_call(&mut chain, PAYEE, input(7));
    let CallOutcome::Success { output, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(output, Bytes::from(U256::ONE.abi_encode()));
    let before = chain.account(signer(FROM).address()).balance;
    assert!(run(&mut chain, send(0, 0, OPG, input(7))).success);
    assert_eq!(chain.account(TO).balance, U256::from(7));
    let after = chain.account(signer(FROM).address()).balance;
    assert_eq!(after, before - U256::from(7));
    let all = (signer(FROM).address(), TO, after + U256::ONE).abi_encode_params();
    assert_eq!(reason(&mut chain, OPG, all), "balance is too low");
}

#[test]
fn it_refuses_every_other_kind_of_call() {
    // The code stands at OPG's address, so that nothing but the kind of call is wrong.
    for (instruction, value, expected) in [
        (
            DELEGATECALL,
            0,
            "only by a plain call that may change state",
        ),
        (CALLCODE, 0, "only by a plain call that may change state"),
        (STATICCALL, 0, "only by a plain call that may change state"),
        (CALL, 1, "takes no value"),
    ] {
        let mut chain = chain_where_opg_is(passes_on(instruction, value));
        assert_eq!(reason(&mut chain, OPG, input(7)), expected);
        let before = chain.account(signer(FROM).address());
        assert!(!run(&mut chain, send(0, 0, OPG, input(7))).success);
        assert_eq!(chain.account(signer(FROM).address()), before);
        assert_eq!(chain.account(OPG).balance, U256::from(5));
        assert_eq!(chain.account(TO), Default::default());
    }
    // A plain call inside a static one changes state no more than that may.
    let mut chain = chain_where_opg_is(passes_on(CALL, 0));
    let wallet = deploy(&mut chain, WALLET, PAYEE.abi_encode());
    let call = Wallet::executeStaticCall {
        target: OPG,
        data: input(7).into(),
    };
    let refused = reason(&mut chain, wallet, call.abi_encode());
    assert_eq!(refused, "only by a plain call that may change state");
}

#[test]
fn it_refuses_every_other_caller() {
    let mut chain = started();
    let wallet = deploy(&mut chain, WALLET, PAYEE.abi_encode());
    let execute = |target, data: Vec<u8>| {
        let data = data.into();
        Wallet::executeCall { target, data }.abi_encode()
    };
    let delegate = |target, data: Vec<u8>| {
        let data = data.into();
        Wallet::executeDelegateCall { target, data }.abi_encode()
    };
    // A person, a contract, a contract in its own name.
    let foreign = "only by the OPG contract";
    assert_eq!(reason(&mut chain, NATIVE_MOVE, input(7)), foreign);
    assert_eq!(
        reason(&mut chain, wallet, execute(NATIVE_MOVE, input(7))),
        foreign
    );
    let delegated = reason(&mut chain, wallet, delegate(NATIVE_MOVE, input(7)));
    assert_eq!(delegated, "only by a plain call that may change state");
    // OPG's own code under another address has no power.
    let code = chain.state[&Key::code(chain.account(OPG).code_hash)].clone();
    let copy = deploy(&mut chain, &creation_code(&code), Vec::new());
    let inputs = [
        (NATIVE_MOVE, input(7)),
        (wallet, execute(NATIVE_MOVE, input(7))),
        (wallet, delegate(NATIVE_MOVE, input(7))),
        (wallet, delegate(OPG, transfer_call(TO, U256::from(7)))),
        (copy, transfer_call(TO, U256::from(7))),
    ];
    for (to, data) in inputs {
        let nonce = chain.account(signer(0).address()).nonce;
        let before = chain.account(signer(FROM).address());
        assert!(!run(&mut chain, send(0, nonce, to, data)).success);
        assert_eq!(chain.account(signer(FROM).address()), before);
        assert_eq!(chain.account(TO), Default::default());
    }
    // Coin sent to its address comes back with the failure.
    let nonce = chain.account(signer(0).address()).nonce;
    let raw = sign(
        0,
        eip1559(nonce, TxKind::Call(NATIVE_MOVE), 1, Bytes::new()),
    );
    assert!(!run(&mut chain, decode(&raw)).success);
    assert_eq!(chain.account(NATIVE_MOVE), Default::default());
}

#[test]
fn an_account_that_delegates_to_it_runs_nothing() {
    let mut chain = started();
    let authority = signer(3);
    let delegation = Authorization {
        chain_id: U256::from(CHAIN_ID),
        address: NATIVE_MOVE,
        nonce: 0,
    };
    let signature = authority
        .sign_hash_sync(&delegation.signature_hash())
        .unwrap();
    let transaction = TxEip7702 {
        chain_id: CHAIN_ID,
        gas_limit: 200_000,
        max_fee_per_gas: 100 * GWEI,
        to: authority.address(),
        authorization_list: vec![delegation.into_signed(signature)],
        input: input(7).into(),
        ..TxEip7702::default()
    };
    let receipt = run(&mut chain, decode(&sign(0, transaction)));
    // EIP-7702: a delegation to a precompile is one to no code.
    assert!(receipt.success);
    assert_eq!(chain.account(TO), Default::default());
}

#[test]
fn it_takes_exactly_two_addresses_and_an_amount() {
    let mut chain = chain_where_opg_is(passes_on(CALL, 0));
    let good = input(7);
    let mut long = good.clone();
    long.push(0);
    let mut dirty_from = good.clone();
    dirty_from[0] = 1;
    let mut dirty_to = good.clone();
    dirty_to[43] = 1;
    for data in [Vec::new(), good[..95].to_vec(), long, dirty_from, dirty_to] {
        assert_eq!(reason(&mut chain, OPG, data), "malformed input");
    }
}

#[test]
fn it_costs_what_a_call_with_value_costs() {
    let mut chain = chain_where_opg_is(passes_on(CALL, 0));
    let mut gas = |from: Address, to: Address, amount: u64| {
        let data = (from, to, U256::from(amount)).abi_encode_params();
        let intrinsic: u64 = data
            .iter()
            .map(|byte| if *byte == 0 { 4 } else { 16 })
            .sum();
        match try_call(&mut chain, PAYEE, data) {
            CallOutcome::Success { gas_used, .. } => gas_used - intrinsic,
            outcome => panic!("{outcome:?}"),
        }
    };
    let [rich, other] = [1, 2].map(|index| signer(index).address());
    // OPG and the caller are warm.
    let least = gas(OPG, OPG, 0);
    assert_eq!(gas(OPG, PAYEE, 0), least);
    assert_eq!(gas(OPG, rich, 0), least + 2500);
    assert_eq!(gas(rich, other, 0), least + 5000);
    assert_eq!(gas(OPG, OPG, 1), least + 6700);
    assert_eq!(gas(rich, other, 1), least + 5000 + 6700);
    assert_eq!(gas(rich, TO, 1), least + 5000 + 6700 + 25_000);
    assert_eq!(gas(rich, TO, 0), least + 5000);
}

#[test]
fn without_enough_gas_nothing_moves() {
    let mut chain = started();
    let from = signer(0).address();
    let mut request = CallRequest {
        from,
        to: Some(OPG),
        data: transfer_call(TO, U256::from(7)).into(),
        ..CallRequest::default()
    };
    let CallOutcome::Success { gas_used, .. } = chain.call(&request) else {
        panic!()
    };
    // All that it uses is needed, and what remains inside after 63 of 64 parts are passed on.
    let mut succeeded = false;
    for gas in (25_000..gas_used + 2000).step_by(100) {
        request.gas = Some(gas);
        let succeeds = matches!(chain.call(&request), CallOutcome::Success { .. });
        assert!(succeeds || !succeeded, "more gas fails: {gas}");
        assert!(!succeeds || gas >= gas_used, "{gas}");
        succeeded = succeeds;
    }
    assert!(succeeded);
    let mut short = eip1559(0, TxKind::Call(OPG), 0, request.data);
    short.gas_limit = gas_used - 1;
    let before = chain.account(from).balance;
    let receipt = run(&mut chain, decode(&sign(0, short)));
    assert!(!receipt.success);
    assert_eq!(
        chain.account(from).balance,
        before - super::opg::fee(&receipt)
    );
    assert_eq!(chain.account(TO), Default::default());
}

#[test]
fn a_corrupt_account_is_the_databases_fault_not_the_transactions() {
    let mut chain = started();
    let transaction = send(0, 0, OPG, transfer_call(TO, U256::from(7)));
    let block = chain.block_of(vec![transaction.raw().clone()], Vec::new());
    let key = Key::account(TO);
    chain.state.insert(key, vec![0xff].into());
    let corrupt = StateError::Corrupt(key);
    assert_eq!(chain.execute(&block), Err(BlockError::State(corrupt)));
    let request = CallRequest {
        from: signer(0).address(),
        to: Some(OPG),
        data: transfer_call(TO, U256::from(7)).into(),
        ..CallRequest::default()
    };
    assert_eq!(chain.try_call(&request), Err(CallError::State(corrupt)));
}

#[test]
fn an_account_that_is_not_paid_for_is_not_read() {
    let mut chain = chain_where_opg_is(passes_on(CALL, 0));
    let key = Key::account(TO);
    chain.state.insert(key, vec![0xff].into());
    let mut request = CallRequest {
        to: Some(OPG),
        data: (OPG, TO, U256::ZERO).abi_encode_params().into(),
        ..CallRequest::default()
    };
    let corrupt = CallError::State(StateError::Corrupt(key));
    assert_eq!(chain.try_call(&request), Err(corrupt));
    // The precompile is reached with less than a cold account costs.
    request.gas = Some(25_000);
    let outcome = chain.call(&request);
    assert!(matches!(outcome, CallOutcome::Halt { .. }), "{outcome:?}");
}

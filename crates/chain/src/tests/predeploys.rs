//! System contracts: how their accounts come about, and those that other chains have too.

use super::support::*;
use crate::{
    CallOutcome, CallRequest, Candidates, Key, Rules,
    contracts::{ConstructorError, DETERMINISTIC_DEPLOYER, MULTICALL3, OPG, construct, predeploys},
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};
use alloy_sol_types::{SolCall as _, SolValue as _, sol};
use og_types::GenesisAccount;
use std::sync::Arc;

sol! {
    interface Multicall3 {
        struct Call3 { address target; bool allowFailure; bytes callData; }
        struct Result { bool success; bytes returnData; }
        function aggregate3(Call3[] calldata calls) external payable returns (Result[] returnData);
        function getEthBalance(address addr) external view returns (uint256 balance);
    }
}

/// Height 1 of a chain that has these accounts beside those of every test.
pub(super) fn started_with(
    accounts: impl IntoIterator<Item = (Address, GenesisAccount)>,
) -> TestChain {
    let mut genesis = genesis();
    genesis.alloc.extend(accounts);
    let mut chain = TestChain::of(Arc::new(Rules::new(genesis).unwrap()));
    chain.advance(Candidates::default());
    chain
}

/// Height 1 of a chain with the system contracts.
pub(super) fn started() -> TestChain {
    started_with(predeploys(CHAIN_ID, supply()).unwrap())
}

/// What the accounts of a test's genesis file have together.
pub(super) fn supply() -> U256 {
    genesis()
        .alloc
        .values()
        .map(|account| account.balance)
        .sum()
}

/// Runs the creation code of one of `contracts/fixtures` in a block; where the contract is.
pub(super) fn deploy(chain: &mut TestChain, code: &[u8], arguments: Vec<u8>) -> Address {
    let nonce = chain.account(signer(0).address()).nonce;
    let code = [code, &arguments].concat();
    let mut creation = eip1559(nonce, TxKind::Create, 0, code.into());
    creation.gas_limit = 3_000_000;
    let creation = decode(&sign(0, creation));
    let receipt = chain.advance(transactions([creation])).receipts.remove(0);
    assert!(receipt.success);
    receipt.contract_address.unwrap()
}

/// What a constructor that runs these instructions gives.
fn constructor(code: &[u8]) -> Result<GenesisAccount, ConstructorError> {
    construct(OPG, CHAIN_ID, code, &[])
}

#[test]
fn a_constructor_leaves_its_code_its_immutables_and_its_storage() {
    let [(_, opg), ..] = predeploys(CHAIN_ID, supply()).unwrap();
    assert_eq!((opg.balance, opg.storage.len()), (U256::ZERO, 2));
    // Solidity keeps a short string in the high bytes of its slot, and twice its length below.
    let mut name = [0; 32];
    name[..12].copy_from_slice(b"OpenGradient");
    name[31] = 24;
    assert_eq!(opg.storage[&B256::from(U256::from(3))], B256::from(name));
    let holds = |account: &GenesisAccount, word: B256| {
        account.code.windows(32).any(|window| window == word.0)
    };
    assert!(holds(&opg, supply().into()));
    assert!(holds(&opg, U256::from(CHAIN_ID).into()));
    assert!(holds(&opg, OPG.into_word()));
    // The same again, and another for another chain.
    assert_eq!(predeploys(CHAIN_ID, supply()).unwrap()[0].1, opg);
    assert_ne!(predeploys(1, supply()).unwrap()[0].1, opg);
    // SSTORE(1, ADDRESS), SSTORE(2, CHAINID), then return no code.
    let account = constructor(&[0x30, 0x60, 1, 0x55, 0x46, 0x60, 2, 0x55, 0x00]).unwrap();
    let expected = [(1, OPG.into_word()), (2, U256::from(CHAIN_ID).into())];
    let expected = expected.map(|(slot, value)| (U256::from(slot).into(), value));
    assert_eq!(account.storage, expected.into());
    assert!(account.code.is_empty());
}

#[test]
fn a_constructor_that_does_not_end_in_one_account_is_an_error() {
    // REVERT with the first byte of the memory.
    let error = constructor(&[0x60, 1, 0x5f, 0xfd]).unwrap_err();
    assert_eq!(error, ConstructorError::Reverted(OPG, vec![0].into()));
    let error = constructor(&[0xfe]).unwrap_err();
    assert!(matches!(error, ConstructorError::Failed(OPG, _)), "{error}");
    // RETURN 0x6001 bytes.
    let error = constructor(&[0x61, 0x60, 0x01, 0x5f, 0xf3]).unwrap_err();
    assert_eq!(error, ConstructorError::CodeLength(OPG, 0x6001));
    // CREATE an empty contract.
    let error = constructor(&[0x5f, 0x5f, 0x5f, 0xf0]).unwrap_err();
    assert!(
        matches!(error, ConstructorError::OtherAccount(OPG, _)),
        "{error}"
    );
}

#[test]
fn the_proxy_deploys_where_create2_says() {
    let mut chain = started();
    let proxy = chain.account(DETERMINISTIC_DEPLOYER);
    assert_eq!(proxy.nonce, 1);
    assert_eq!(chain.state[&Key::code(proxy.code_hash)].len(), 69);
    // Returns one byte of code, which is STOP.
    let creation = [0x60, 1, 0x5f, 0xf3];
    let salt = B256::repeat_byte(7);
    let expected = DETERMINISTIC_DEPLOYER.create2(salt, keccak256(creation));
    let input = [salt.as_slice(), &creation].concat();
    let outcome = chain.call(&CallRequest {
        to: Some(DETERMINISTIC_DEPLOYER),
        data: input.clone().into(),
        ..CallRequest::default()
    });
    let CallOutcome::Success { output, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(output, Bytes::from(expected.to_vec()));
    let twice = [0, 1].map(|nonce| send(0, nonce, DETERMINISTIC_DEPLOYER, input.clone()));
    let receipts = chain.advance(transactions(twice)).receipts;
    assert!(receipts[0].success && !receipts[1].success);
    assert_eq!(chain.account(expected).code_hash, keccak256([0]));
}

#[test]
fn one_call_reads_many_balances_and_says_which_call_failed() {
    let mut chain = started();
    let balance = |addr| Multicall3::Call3 {
        target: MULTICALL3,
        allowFailure: false,
        callData: Multicall3::getEthBalanceCall { addr }.abi_encode().into(),
    };
    let unknown = Multicall3::Call3 {
        target: OPG,
        allowFailure: true,
        callData: vec![1, 2, 3, 4].into(),
    };
    let calls = vec![balance(signer(1).address()), unknown, balance(PAYEE)];
    let outcome = chain.call(&CallRequest {
        to: Some(MULTICALL3),
        data: Multicall3::aggregate3Call { calls }.abi_encode().into(),
        ..CallRequest::default()
    });
    let CallOutcome::Success { output, .. } = outcome else {
        panic!("{outcome:?}")
    };
    let results = Multicall3::aggregate3Call::abi_decode_returns(&output).unwrap();
    let successes: Vec<_> = results.iter().map(|result| result.success).collect();
    assert_eq!(successes, [true, false, true]);
    let funded = chain.account(signer(1).address()).balance;
    assert_eq!(results[0].returnData, Bytes::from(funded.abi_encode()));
    assert_eq!(results[2].returnData, Bytes::from(U256::ZERO.abi_encode()));
}

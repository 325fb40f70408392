//! Simulations: states changed at will, and blocks run again.

use super::support::*;
use crate::{
    Cache, CallError, CallRequest, Key, Simulation, SimulationError, StateError, state::Account,
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use revm::context::TxEnv;

/// Code that returns the storage slot that its input names.
const READER: [u8; 10] = [0x5f, 0x35, 0x54, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3, 0x00];

fn call(to: Address, data: B256) -> CallRequest {
    CallRequest {
        to: Some(to),
        data: Bytes::from(data.0),
        ..CallRequest::default()
    }
}

fn output(simulation: &mut Simulation<'_>, request: &CallRequest) -> U256 {
    let ran = request.run(simulation).unwrap();
    U256::from_be_slice(ran.result.output().unwrap())
}

#[test]
fn code_storage_and_balances_are_what_they_were_set_to() {
    let chain = TestChain::started();
    let mut simulation = Simulation::after(&chain.rules, chain.parent(), &chain.state);
    let reader = Address::repeat_byte(0x99);
    let (one, two) = (B256::with_last_byte(1), B256::with_last_byte(2));
    simulation
        .set_code(reader, Bytes::from_static(&READER))
        .unwrap();
    assert_eq!(output(&mut simulation, &call(reader, one)), U256::ZERO);
    simulation.set_storage(reader, one, two);
    assert_eq!(output(&mut simulation, &call(reader, one)), U256::from(2));
    let rich = Account {
        balance: U256::MAX,
        ..Account::default()
    };
    simulation.set_account(Address::repeat_byte(0x98), &rich);
    let sends = CallRequest {
        from: Address::repeat_byte(0x98),
        value: U256::MAX >> 1,
        ..call(Address::repeat_byte(0x97), one)
    };
    let ran = sends.run(&mut simulation).unwrap();
    assert!(ran.result.is_success());
    simulation.commit(ran.state).unwrap();
    let account = simulation.account(Address::repeat_byte(0x97)).unwrap();
    assert_eq!(account.balance, U256::MAX >> 1);
}

#[test]
fn cleared_storage_shows_only_what_was_written_since() {
    let mut chain = TestChain::started();
    let reader = Address::repeat_byte(0x99);
    for (slot, value) in [(1, 10_u8), (2, 20)] {
        let key = Key::storage(reader, U256::from(slot));
        let value = B256::with_last_byte(value);
        chain.state.insert(key, value.to_vec().into());
    }
    let (one, two) = (B256::with_last_byte(1), B256::with_last_byte(2));
    let mut simulation = Simulation::after(&chain.rules, chain.parent(), &chain.state);
    simulation
        .set_code(reader, Bytes::from_static(&READER))
        .unwrap();
    assert_eq!(output(&mut simulation, &call(reader, two)), U256::from(20));
    simulation.clear_storage(reader);
    simulation.set_storage(reader, one, two);
    assert_eq!(output(&mut simulation, &call(reader, one)), U256::from(2));
    assert_eq!(output(&mut simulation, &call(reader, two)), U256::ZERO);
}

#[test]
fn a_block_that_runs_again_does_the_same() {
    let mut chain = TestChain::started();
    let to = Address::repeat_byte(0x55);
    let state = chain.state.clone();
    let executed = chain.advance(transactions([
        transfer(0, 0, to, 5),
        transfer(0, 1, to, 6),
        transfer(1, 0, to, 7),
    ]));
    let header = chain.head.header();
    let mut simulation = Simulation::within(&chain.rules, header, &state);
    let transactions = chain.head.decoded_transactions().unwrap();
    assert_eq!(transactions.len(), 3);
    for (transaction, receipt) in transactions.iter().zip(&executed.receipts) {
        let ran = simulation.run(TxEnv::from(transaction)).unwrap();
        assert_eq!(ran.result.tx_gas_used(), receipt.gas_used);
        assert_eq!(ran.result.is_success(), receipt.success);
        simulation.commit(ran.state).unwrap();
    }
    for transaction in transactions {
        let sender = transaction.sender();
        assert_eq!(simulation.account(sender).unwrap(), chain.account(sender));
    }
    // Under all rules: what ran once is refused.
    let again = simulation.run(TxEnv::from(&transactions[0]));
    assert!(matches!(again, Err(SimulationError::Transaction(_))));
}

#[test]
fn what_the_source_does_not_know_is_named() {
    let chain = TestChain::started();
    let nothing = Cache::default();
    let mut simulation = Simulation::after(&chain.rules, chain.parent(), &nothing);
    let from = Key::account(Address::ZERO);
    let error = call(Address::repeat_byte(1), keccak256([])).run(&mut simulation);
    assert_eq!(
        error.unwrap_err(),
        CallError::State(StateError::Missing(from))
    );
    assert_eq!(simulation.missing(), Some(vec![from]));
}

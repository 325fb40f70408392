//! OPG through transactions and calls: the token's balances are the accounts' balances.

use super::{
    predeploys::{deploy, started, supply},
    support::*,
};
use crate::{
    Account, CallOutcome, CallRequest, Transaction, TransactionReceipt, contracts::OPG,
    precompile::NATIVE_MOVE,
};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_sol_types::{SolCall, SolError, SolEvent as _, SolValue as _, sol};
use og_types::Canonical as _;
use proptest::prelude::*;

const PLAIN_TOKEN: &[u8] =
    include_bytes!("../../../../contracts/artifacts/fixtures/PlainToken.creation.bin");
pub(super) const DOCUMENTATION: &str = include_str!("../../../../docs/contracts.md");

sol! {
    #[derive(Debug, PartialEq)]
    interface Token {
        event Transfer(address indexed from, address indexed to, uint256 value);
        event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce);
        error ERC20InsufficientBalance(address sender, uint256 balance, uint256 needed);
        error ERC20InsufficientAllowance(address spender, uint256 allowance, uint256 needed);
        error ERC20InvalidReceiver(address receiver);
        error ERC20InvalidSpender(address spender);
        error NativeMoveFailed();
        function name() external view returns (string);
        function symbol() external view returns (string);
        function decimals() external view returns (uint8);
        function version() external view returns (string);
        function totalSupply() external view returns (uint256);
        function balanceOf(address account) external view returns (uint256);
        function allowance(address owner, address spender) external view returns (uint256);
        function approve(address spender, uint256 value) external returns (bool);
        function transfer(address to, uint256 value) external returns (bool);
        function transferFrom(address from, address to, uint256 value) external returns (bool);
    }
}

pub(super) fn transfer_call(to: Address, value: U256) -> Vec<u8> {
    Token::transferCall { to, value }.abi_encode()
}

/// What a call of OPG on behalf of `from` comes to.
pub(super) fn try_call(chain: &mut TestChain, from: Address, data: Vec<u8>) -> CallOutcome {
    chain.call(&CallRequest {
        from,
        to: Some(OPG),
        data: data.into(),
        ..CallRequest::default()
    })
}

pub(super) fn read<C: SolCall>(chain: &mut TestChain, call: &C) -> C::Return {
    match try_call(chain, Address::ZERO, call.abi_encode()) {
        CallOutcome::Success { output, .. } => C::abi_decode_returns(&output).unwrap(),
        outcome => panic!("{outcome:?}"),
    }
}

/// The custom error with which a call of OPG reverts.
pub(super) fn error<E: SolError>(chain: &mut TestChain, from: Address, data: Vec<u8>) -> E {
    match try_call(chain, from, data) {
        CallOutcome::Revert { output, .. } => E::abi_decode(&output).unwrap(),
        outcome => panic!("{outcome:?}"),
    }
}

/// Runs a transaction in a block of its own.
pub(super) fn run(chain: &mut TestChain, transaction: Transaction) -> TransactionReceipt {
    chain
        .advance(transactions([transaction]))
        .receipts
        .remove(0)
}

/// What an account loses to a transaction beside what it sends.
pub(super) fn fee(receipt: &TransactionReceipt) -> U256 {
    U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price.0)
}

#[test]
fn it_shows_the_native_coin() {
    let mut chain = started();
    assert_eq!(read(&mut chain, &Token::nameCall {}), "OpenGradient");
    assert_eq!(read(&mut chain, &Token::symbolCall {}), "OPG");
    assert_eq!(read(&mut chain, &Token::decimalsCall {}), 18);
    assert_eq!(read(&mut chain, &Token::versionCall {}), "1");
    assert_eq!(read(&mut chain, &Token::totalSupplyCall {}), supply());
    for account in [signer(0).address(), PAYEE, OPG] {
        let balance = read(&mut chain, &Token::balanceOfCall { account });
        assert_eq!(balance, chain.account(account).balance);
    }
    // A plain transfer shows in the token, and logs nothing.
    let receipt = run(&mut chain, transfer(0, 0, PAYEE, 7));
    assert!(receipt.success && receipt.logs.is_empty());
    let balance = read(&mut chain, &Token::balanceOfCall { account: PAYEE });
    assert_eq!(balance, U256::from(7));
    // Burned fees stay in the sum of the supply, which is what the genesis file allocated.
    assert_eq!(read(&mut chain, &Token::totalSupplyCall {}), supply());
}

#[test]
fn a_transfer_moves_native_coin_and_logs_it() {
    let mut chain = started();
    let (from, to) = (signer(0).address(), Address::repeat_byte(0x44));
    let before = chain.account(from).balance;
    let value = U256::from(10u64.pow(18));
    let receipt = run(&mut chain, send(0, 0, OPG, transfer_call(to, value)));
    assert!(receipt.success);
    assert_eq!(chain.account(to).balance, value);
    assert_eq!(chain.account(from).balance, before - value - fee(&receipt));
    let [log] = &receipt.logs[..] else {
        panic!("{:?}", receipt.logs)
    };
    assert_eq!(log.address, OPG);
    let event = Token::Transfer::decode_raw_log(log.topics.iter().copied(), &log.data).unwrap();
    assert_eq!(event, Token::Transfer { from, to, value });
    // To itself, and nothing to nobody: events, but no coin and no account.
    let nobody = Address::repeat_byte(0x45);
    for (nonce, to, value) in [(1, from, value), (2, nobody, U256::ZERO)] {
        let before = chain.account(from).balance;
        let receipt = run(&mut chain, send(0, nonce, OPG, transfer_call(to, value)));
        assert!(receipt.success && receipt.logs.len() == 1);
        assert_eq!(chain.account(from).balance, before - fee(&receipt));
    }
    assert_eq!(chain.account(nobody), Account::default());
}

#[test]
fn what_fails_moves_nothing_and_says_why() {
    let mut chain = started();
    let (from, to) = (signer(0).address(), Address::repeat_byte(0x44));
    let balance = chain.account(from).balance;
    let needed = balance + U256::ONE;
    let insufficient: Token::ERC20InsufficientBalance =
        error(&mut chain, from, transfer_call(to, needed));
    let expected = Token::ERC20InsufficientBalance {
        sender: from,
        balance,
        needed,
    };
    assert_eq!(insufficient, expected);
    // Neither to nobody nor into this contract, from which nothing returns.
    for receiver in [Address::ZERO, OPG] {
        let invalid: Token::ERC20InvalidReceiver =
            error(&mut chain, from, transfer_call(receiver, U256::ONE));
        assert_eq!(invalid, Token::ERC20InvalidReceiver { receiver });
    }
    let spender = Address::ZERO;
    let approve = Token::approveCall {
        spender,
        value: U256::ONE,
    };
    let invalid: Token::ERC20InvalidSpender = error(&mut chain, from, approve.abi_encode());
    assert_eq!(invalid, Token::ERC20InvalidSpender { spender });
    let receipt = run(&mut chain, send(0, 0, OPG, transfer_call(to, needed)));
    assert!(!receipt.success && receipt.logs.is_empty());
    assert_eq!(chain.account(to), Account::default());
    assert_eq!(chain.account(from).balance, balance - fee(&receipt));
    // It takes no coin: neither bare nor with a transfer.
    for input in [Vec::new(), transfer_call(to, U256::ONE)] {
        let nonce = chain.account(from).nonce;
        let raw = sign(0, eip1559(nonce, TxKind::Call(OPG), 1, input.into()));
        assert!(!run(&mut chain, decode(&raw)).success);
    }
    assert_eq!(chain.account(OPG).balance, U256::ZERO);
}

#[test]
fn an_allowance_is_spent_by_its_spender_only() {
    let mut chain = started();
    let (owner, spender) = (signer(0).address(), signer(1).address());
    let to = Address::repeat_byte(0x44);
    let from_owner = |value: u64| {
        let value = U256::from(value);
        Token::transferFromCall {
            from: owner,
            to,
            value,
        }
        .abi_encode()
    };
    let approve = |value| Token::approveCall { spender, value }.abi_encode();
    assert!(run(&mut chain, send(0, 0, OPG, approve(U256::from(5)))).success);
    assert!(run(&mut chain, send(1, 0, OPG, from_owner(3))).success);
    assert_eq!(chain.account(to).balance, U256::from(3));
    let left = read(&mut chain, &Token::allowanceCall { owner, spender });
    assert_eq!(left, U256::from(2));
    for (spender, allowance) in [(spender, left), (signer(2).address(), U256::ZERO)] {
        let insufficient: Token::ERC20InsufficientAllowance =
            error(&mut chain, spender, from_owner(3));
        let expected = Token::ERC20InsufficientAllowance {
            spender,
            allowance,
            needed: U256::from(3),
        };
        assert_eq!(insufficient, expected);
    }
    // The largest allowance does not shrink.
    assert!(run(&mut chain, send(0, 1, OPG, approve(U256::MAX))).success);
    assert!(run(&mut chain, send(1, 1, OPG, from_owner(3))).success);
    let left = read(&mut chain, &Token::allowanceCall { owner, spender });
    assert_eq!(
        (left, chain.account(to).balance),
        (U256::MAX, U256::from(6))
    );
}

#[test]
fn gas_is_what_the_documentation_says() {
    let mut chain = started();
    let plain = deploy(&mut chain, PLAIN_TOKEN, signer(0).address().abi_encode());
    let value = U256::from(10u64.pow(18));
    let mut gas_of = |target: Option<Address>, to: Address| {
        let nonce = chain.account(signer(0).address()).nonce;
        let transaction = match target {
            Some(token) => send(0, nonce, token, transfer_call(to, value)),
            None => transfer(0, nonce, to, 1),
        };
        let receipt = run(&mut chain, transaction);
        assert!(receipt.success);
        receipt.gas_used
    };
    let holder = signer(1).address();
    gas_of(Some(plain), holder);
    for (receiver, to) in [("holds some", holder), ("new", Address::repeat_byte(0x66))] {
        let [token, opg, native] = [Some(plain), Some(OPG), None].map(|target| gas_of(target, to));
        let row = format!("| {receiver} | {native} | {opg} | {token} |");
        assert!(
            DOCUMENTATION.contains(&row),
            "docs/contracts.md lacks {row}"
        );
    }
}

/// All coin in the state. Nothing but an account is encoded like one.
fn coin(chain: &TestChain) -> U256 {
    let accounts = chain
        .state
        .values()
        .filter_map(|value| Account::from_bytes(value).ok());
    accounts.map(|account| account.balance).sum()
}

/// One step of a random history: who, to whom, how much (`None` is more than anybody has), how.
fn step() -> impl Strategy<Value = (u8, Address, Option<u64>, u8)> {
    let to = prop_oneof![
        (0..ACCOUNTS).prop_map(|index| signer(index).address()),
        (0x60..0x63u8).prop_map(Address::repeat_byte),
        prop_oneof![
            Just(Address::ZERO),
            Just(OPG),
            Just(NATIVE_MOVE),
            Just(FEE_RECIPIENT)
        ],
    ];
    (
        0..ACCOUNTS,
        to,
        prop::option::weighted(0.8, 0..1000u64),
        0..4u8,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is sent in whatever way, coin is conserved but for burned base fees, and an
    /// account gets what the logs and plain transfers say.
    #[test]
    fn no_coin_appears_or_disappears(steps in prop::collection::vec(step(), 1..12)) {
        let mut chain = started();
        // Everybody may spend the coin of account 0, also itself.
        let approvals = (0..ACCOUNTS).zip(0..).map(|(index, nonce)| {
            let approve = Token::approveCall { spender: signer(index).address(), value: U256::MAX };
            send(0, nonce, OPG, approve.abi_encode())
        });
        chain.advance(transactions(approvals.collect::<Vec<_>>()));
        for (from, to, value, how) in steps {
            let value = value.map_or(U256::from(u128::MAX), U256::from);
            let sender = signer(from).address();
            let payer = if how == 1 { signer(0).address() } else { sender };
            let call = match how {
                0 => transfer_call(to, value),
                1 => Token::transferFromCall { from: payer, to, value }.abi_encode(),
                2 => (payer, to, value).abi_encode_params(),
                _ => Vec::new(),
            };
            let (target, sent) = match how {
                0 | 1 => (OPG, 0),
                2 => (NATIVE_MOVE, 0),
                _ => (to, value.saturating_to::<u64>().min(1000).into()),
            };
            let nonce = chain.account(sender).nonce;
            let raw = sign(from, eip1559(nonce, TxKind::Call(target), sent, Bytes::from(call)));
            let (before, received, paid) = (coin(&chain), chain.account(to).balance, chain.account(payer).balance);
            let receipt = run(&mut chain, decode(&raw));
            let burned = U256::from(receipt.gas_used) * U256::from(chain.parent().base_fee_per_gas);
            prop_assert_eq!(coin(&chain), before - burned);
            let possible = match how {
                0 | 1 => value <= U256::from(1000) && to != Address::ZERO && to != OPG,
                2 => false,
                _ => to != OPG && to != NATIVE_MOVE,
            };
            prop_assert_eq!(receipt.success, possible);
            prop_assert_eq!(receipt.logs.len(), usize::from(possible && how < 2));
            let moved = match (possible, how) {
                (false, _) => U256::ZERO,
                (true, 3) => U256::from(sent),
                (true, _) => value,
            };
            if to != payer && to != sender && to != FEE_RECIPIENT {
                prop_assert_eq!(chain.account(to).balance, received + moved);
            }
            if payer != to {
                let fees = if payer == sender { fee(&receipt) } else { U256::ZERO };
                prop_assert_eq!(chain.account(payer).balance, paid - moved - fees);
            }
        }
    }
}

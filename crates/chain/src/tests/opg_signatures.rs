//! What OPG does on a signature: EIP-2612 permits and EIP-3009 authorizations.

use super::{
    opg::{DOCUMENTATION, error, read, run, transfer_call, try_call},
    predeploys::{deploy, started},
    support::*,
};
use crate::{CallOutcome, TransactionReceipt, contracts::OPG};
use alloy_consensus::TxEip7702;
use alloy_eips::eip7702::Authorization;
use alloy_primitives::{Address, B256, Bytes, U256, uint};
use alloy_signer::SignerSync as _;
use alloy_sol_types::{SolCall as _, SolStruct, SolValue as _, eip712_domain, sol};

const WALLET: &[u8] =
    include_bytes!("../../../../contracts/artifacts/fixtures/Wallet.creation.bin");
const TO: Address = Address::repeat_byte(0x44);
const SECP256K1_ORDER: U256 =
    uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

// The messages as the standards spell them.
sol! {
    struct Permit { address owner; address spender; uint256 value; uint256 nonce; uint256 deadline; }
    struct TransferWithAuthorization {
        address from; address to; uint256 value; uint256 validAfter; uint256 validBefore; bytes32 nonce;
    }
    struct ReceiveWithAuthorization {
        address from; address to; uint256 value; uint256 validAfter; uint256 validBefore; bytes32 nonce;
    }
    struct CancelAuthorization { address authorizer; bytes32 nonce; }
}

sol! {
    #[derive(Debug, PartialEq)]
    interface Signed {
        error ERC2612ExpiredSignature(uint256 deadline);
        error ERC2612InvalidSigner(address signer, address owner);
        error ERC3009InvalidSignature();
        error ERC3009InvalidAuthorizationTime(uint256 validAfter, uint256 validBefore);
        error ERC3009UsedAuthorization(address authorizer, bytes32 nonce);
        error ERC20InvalidReceiver(address receiver);
        function DOMAIN_SEPARATOR() external view returns (bytes32);
        function allowance(address owner, address spender) external view returns (uint256);
        function nonces(address owner) external view returns (uint256);
        function authorizationState(address authorizer, bytes32 nonce) external view returns (bool);
        function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;
    }
    interface WithBytes {
        function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes signature) external;
        function receiveWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes signature) external;
        function cancelAuthorization(address authorizer, bytes32 nonce, bytes signature) external;
    }
    interface WithParts {
        function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external;
        function receiveWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external;
        function cancelAuthorization(address authorizer, bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external;
    }
}

/// The signature of account `by` under a message for OPG on chain `chain_id`.
fn signature(by: u8, chain_id: u64, message: &impl SolStruct) -> Signature {
    let domain = eip712_domain! {
        name: "OpenGradient",
        version: "1",
        chain_id: chain_id,
        verifying_contract: OPG,
    };
    let hash = message.eip712_signing_hash(&domain);
    Signature(signer(by).sign_hash_sync(&hash).unwrap())
}

struct Signature(alloy_primitives::Signature);

impl Signature {
    fn bytes(&self) -> Bytes {
        self.0.as_bytes().into()
    }

    fn parts(&self) -> (u8, B256, B256) {
        let v = 27 + u8::from(self.0.v());
        (v, self.0.r().into(), self.0.s().into())
    }
}

/// An authorization of `from` for [`TO`] that is good now.
fn authorization(chain: &TestChain, from: Address) -> TransferWithAuthorization {
    let now = U256::from(chain.parent().timestamp_ms / 1000);
    TransferWithAuthorization {
        from,
        to: TO,
        value: U256::from(9),
        validAfter: now - U256::ONE,
        validBefore: now + U256::from(60),
        nonce: B256::repeat_byte(3),
    }
}

fn with_bytes(message: &TransferWithAuthorization, signature: Bytes) -> Vec<u8> {
    WithBytes::transferWithAuthorizationCall {
        from: message.from,
        to: message.to,
        value: message.value,
        validAfter: message.validAfter,
        validBefore: message.validBefore,
        nonce: message.nonce,
        signature,
    }
    .abi_encode()
}

fn with_parts(message: &TransferWithAuthorization, signature: &Signature) -> Vec<u8> {
    let (v, r, s) = signature.parts();
    WithParts::transferWithAuthorizationCall {
        from: message.from,
        to: message.to,
        value: message.value,
        validAfter: message.validAfter,
        validBefore: message.validBefore,
        nonce: message.nonce,
        v,
        r,
        s,
    }
    .abi_encode()
}

fn permit_call(message: &Permit, signature: &Signature) -> Vec<u8> {
    let (v, r, s) = signature.parts();
    Signed::permitCall {
        owner: message.owner,
        spender: message.spender,
        value: message.value,
        deadline: message.deadline,
        v,
        r,
        s,
    }
    .abi_encode()
}

/// Account 3 sends these calls in one block.
fn hand_in(chain: &mut TestChain, calls: &[Vec<u8>]) -> Vec<TransactionReceipt> {
    let calls = calls
        .iter()
        .zip(0..)
        .map(|(call, nonce)| send(3, nonce, OPG, call.clone()));
    chain
        .advance(transactions(calls.collect::<Vec<_>>()))
        .receipts
}

#[test]
fn a_permit_allows_once_until_its_deadline() {
    let mut chain = started();
    let (owner, spender) = (signer(0).address(), signer(1).address());
    let now = U256::from(chain.parent().timestamp_ms / 1000);
    let message = Permit {
        owner,
        spender,
        value: U256::from(5),
        nonce: U256::ZERO,
        deadline: now + U256::from(60),
    };
    let late = Permit {
        deadline: now - U256::ONE,
        ..message
    };
    let call = permit_call(&late, &signature(0, CHAIN_ID, &late));
    let expired: Signed::ERC2612ExpiredSignature = error(&mut chain, PAYEE, call);
    assert_eq!(expired.deadline, late.deadline);
    // Another's signature, or one for another chain.
    for (by, chain_id) in [(2, CHAIN_ID), (0, CHAIN_ID + 1)] {
        let call = permit_call(&message, &signature(by, chain_id, &message));
        let wrong: Signed::ERC2612InvalidSigner = error(&mut chain, PAYEE, call);
        assert_eq!(wrong.owner, owner);
    }
    // Anybody may hand it in, once.
    let call = permit_call(&message, &signature(0, CHAIN_ID, &message));
    assert!(run(&mut chain, send(3, 0, OPG, call.clone())).success);
    let allowance = Signed::allowanceCall { owner, spender };
    assert_eq!(read(&mut chain, &allowance), message.value);
    assert_eq!(read(&mut chain, &Signed::noncesCall { owner }), U256::ONE);
    let replayed: Signed::ERC2612InvalidSigner = error(&mut chain, PAYEE, call);
    assert_eq!(replayed.owner, owner);
}

#[test]
fn the_domain_is_of_this_chain_and_contract() {
    let mut chain = started();
    let domain = eip712_domain! {
        name: "OpenGradient",
        version: "1",
        chain_id: CHAIN_ID,
        verifying_contract: OPG,
    };
    let separator = read(&mut chain, &Signed::DOMAIN_SEPARATORCall {});
    assert_eq!(separator, domain.separator());
}

#[test]
fn an_authorization_is_good_once_in_either_form() {
    let mut chain = started();
    let from = signer(0).address();
    let first = authorization(&chain, from);
    let second = TransferWithAuthorization {
        nonce: B256::repeat_byte(4),
        ..first
    };
    let signed = signature(0, CHAIN_ID, &first);
    let calls = [
        with_parts(&first, &signed),
        with_bytes(&second, signature(0, CHAIN_ID, &second).bytes()),
    ];
    // Anybody hands them in and pays the gas.
    let before = chain.account(from).balance;
    let receipts = hand_in(&mut chain, &calls);
    assert!(
        receipts
            .iter()
            .all(|receipt| receipt.success && receipt.logs.len() == 2)
    );
    let row = format!("| `transferWithAuthorization` | {} |", receipts[0].gas_used);
    assert!(
        DOCUMENTATION.contains(&row),
        "docs/contracts.md lacks {row}"
    );
    assert_eq!(chain.account(TO).balance, U256::from(18));
    assert_eq!(chain.account(from).balance, before - U256::from(18));
    for (nonce, call) in [(first.nonce, &calls[0]), (second.nonce, &calls[1])] {
        let state = Signed::authorizationStateCall {
            authorizer: from,
            nonce,
        };
        assert!(read(&mut chain, &state));
        let used: Signed::ERC3009UsedAuthorization = error(&mut chain, PAYEE, call.clone());
        assert_eq!(
            used,
            Signed::ERC3009UsedAuthorization {
                authorizer: from,
                nonce
            }
        );
    }
    // The other form does not make it good again.
    let _: Signed::ERC3009UsedAuthorization =
        error(&mut chain, PAYEE, with_bytes(&first, signed.bytes()));
}

#[test]
fn an_authorization_is_bound_to_its_signer_its_terms_and_its_time() {
    let mut chain = started();
    let from = signer(0).address();
    let good = authorization(&chain, from);
    let now = good.validAfter + U256::ONE;
    let signed = signature(0, CHAIN_ID, &good);
    let more = TransferWithAuthorization {
        value: U256::from(10),
        ..good
    };
    let elsewhere = TransferWithAuthorization { to: PAYEE, ..good };
    for (message, signed) in [
        (&good, &signature(1, CHAIN_ID, &good)),
        (&good, &signature(0, CHAIN_ID + 1, &good)),
        (&more, &signed),
        (&elsewhere, &signed),
    ] {
        let _: Signed::ERC3009InvalidSignature =
            error(&mut chain, PAYEE, with_parts(message, signed));
        let _: Signed::ERC3009InvalidSignature =
            error(&mut chain, PAYEE, with_bytes(message, signed.bytes()));
    }
    // Malleable (high s), and of another length.
    let normal = signed.0;
    let high = Signature(alloy_primitives::Signature::new(
        normal.r(),
        SECP256K1_ORDER - normal.s(),
        !normal.v(),
    ));
    for bytes in [
        high.bytes(),
        signed.bytes()[..64].to_vec().into(),
        Bytes::new(),
    ] {
        let _: Signed::ERC3009InvalidSignature = error(&mut chain, PAYEE, with_bytes(&good, bytes));
    }
    // Both ends of its time are outside.
    for (valid_after, valid_before) in [(now, good.validBefore), (good.validAfter, now)] {
        let untimely = TransferWithAuthorization {
            validAfter: valid_after,
            validBefore: valid_before,
            ..good
        };
        let call = with_parts(&untimely, &signature(0, CHAIN_ID, &untimely));
        let _: Signed::ERC3009InvalidAuthorizationTime = error(&mut chain, PAYEE, call);
    }
    let outcome = try_call(&mut chain, PAYEE, with_parts(&good, &signed));
    assert!(
        matches!(outcome, CallOutcome::Success { .. }),
        "{outcome:?}"
    );
}

#[test]
fn only_the_receiver_hands_in_what_is_for_it() {
    let mut chain = started();
    let (from, to) = (signer(0).address(), signer(1).address());
    let terms = authorization(&chain, from);
    let message = ReceiveWithAuthorization {
        from,
        to,
        value: terms.value,
        validAfter: terms.validAfter,
        validBefore: terms.validBefore,
        nonce: terms.nonce,
    };
    let signed = signature(0, CHAIN_ID, &message);
    let (v, r, s) = signed.parts();
    let call = WithParts::receiveWithAuthorizationCall {
        from,
        to,
        value: message.value,
        validAfter: message.validAfter,
        validBefore: message.validBefore,
        nonce: message.nonce,
        v,
        r,
        s,
    }
    .abi_encode();
    let foreign: Signed::ERC20InvalidReceiver = error(&mut chain, PAYEE, call.clone());
    assert_eq!(foreign.receiver, to);
    // The other kind of message has another type: its signature is not good for this.
    let transfer = TransferWithAuthorization { to, ..terms };
    let _: Signed::ERC3009InvalidSignature =
        error(&mut chain, PAYEE, with_bytes(&transfer, signed.bytes()));
    let before = chain.account(from).balance;
    assert!(run(&mut chain, send(1, 0, OPG, call)).success);
    assert_eq!(chain.account(from).balance, before - message.value);
}

#[test]
fn a_cancelled_authorization_is_never_good() {
    let mut chain = started();
    let from = signer(0).address();
    let message = authorization(&chain, from);
    let cancel = CancelAuthorization {
        authorizer: from,
        nonce: message.nonce,
    };
    let call = |signed: &Signature| {
        let (authorizer, nonce) = (from, cancel.nonce);
        WithBytes::cancelAuthorizationCall {
            authorizer,
            nonce,
            signature: signed.bytes(),
        }
        .abi_encode()
    };
    let foreign = call(&signature(1, CHAIN_ID, &cancel));
    let _: Signed::ERC3009InvalidSignature = error(&mut chain, PAYEE, foreign);
    assert!(
        run(
            &mut chain,
            send(3, 0, OPG, call(&signature(0, CHAIN_ID, &cancel)))
        )
        .success
    );
    let handed = with_parts(&message, &signature(0, CHAIN_ID, &message));
    let _: Signed::ERC3009UsedAuthorization = error(&mut chain, PAYEE, handed);
}

#[test]
fn a_contract_signs_as_its_code_says() {
    let mut chain = started();
    let wallet = deploy(&mut chain, WALLET, signer(2).address().abi_encode());
    let fund = transfer_call(wallet, U256::from(100));
    assert!(run(&mut chain, send(1, 0, OPG, fund)).success);
    let first = authorization(&chain, wallet);
    let second = TransferWithAuthorization {
        nonce: B256::repeat_byte(4),
        ..first
    };
    let _: Signed::ERC3009InvalidSignature = error(
        &mut chain,
        PAYEE,
        with_parts(&first, &signature(1, CHAIN_ID, &first)),
    );
    let calls = [
        with_parts(&first, &signature(2, CHAIN_ID, &first)),
        with_bytes(&second, signature(2, CHAIN_ID, &second).bytes()),
    ];
    let receipts = hand_in(&mut chain, &calls);
    assert!(receipts.iter().all(|receipt| receipt.success));
    assert_eq!(chain.account(wallet).balance, U256::from(100 - 18));
}

#[test]
fn an_account_that_delegates_its_code_signs_with_its_key_or_its_code() {
    let mut chain = started();
    // The wallet's owner is account 2; account 0 takes over its code (EIP-7702).
    let wallet = deploy(&mut chain, WALLET, signer(2).address().abi_encode());
    let from = signer(0).address();
    let delegation = Authorization {
        chain_id: U256::from(CHAIN_ID),
        address: wallet,
        nonce: chain.account(from).nonce,
    };
    let by_owner = signer(0)
        .sign_hash_sync(&delegation.signature_hash())
        .unwrap();
    let delegate = TxEip7702 {
        chain_id: CHAIN_ID,
        gas_limit: 200_000,
        max_fee_per_gas: 100 * GWEI,
        to: PAYEE,
        authorization_list: vec![delegation.into_signed(by_owner)],
        ..TxEip7702::default()
    };
    assert!(run(&mut chain, decode(&sign(1, delegate))).success);
    let message = authorization(&chain, from);
    for (by, is_good) in [(0, true), (2, true), (1, false)] {
        let call = with_parts(&message, &signature(by, CHAIN_ID, &message));
        let outcome = try_call(&mut chain, PAYEE, call);
        assert_eq!(
            matches!(outcome, CallOutcome::Success { .. }),
            is_good,
            "{outcome:?}"
        );
    }
}

"""The native coin as a token, spent by those whom its owners have signed for: EIP-2612 and EIP-3009, signed by eth-account."""

import json
import os
from pathlib import Path

import pytest
from eth_account import Account
from web3 import Web3
from web3.exceptions import ContractCustomError
from web3.logs import DISCARD

pytestmark = pytest.mark.skipif("REFERENCE" in os.environ, reason="the reference has no such contract")

ADDRESS = "0x0000000000000000000000000000000000000a02"
ARTIFACT = Path(__file__).parents[3] / "contracts" / "artifacts" / "OPG.json"
FOR_EVER = 2**46
HELD = 100
PERMIT = {"owner": "address", "spender": "address", "value": "uint256", "nonce": "uint256", "deadline": "uint256"}
AUTHORIZATION = {
    "from": "address",
    "to": "address",
    "value": "uint256",
    "validAfter": "uint256",
    "validBefore": "uint256",
    "nonce": "bytes32",
}


@pytest.fixture(scope="module")
def opg(w3):
    return w3.eth.contract(address=w3.to_checksum_address(ADDRESS), abi=json.loads(ARTIFACT.read_text())["abi"])


@pytest.fixture
def owner(opg, mined):
    """A new account that holds a little coin, and whose owner pays no gas."""
    owner = Account.create()
    mined(opg.functions.transfer(owner.address, HELD).transact())
    return owner


@pytest.fixture
def sign(w3, opg, owner):
    """Signs a message for OPG with the owner's key."""

    def sign(name, types, message):
        domain = {"name": "OpenGradient", "version": "1", "chainId": w3.eth.chain_id, "verifyingContract": opg.address}
        types = {name: [{"name": field, "type": kind} for field, kind in types.items()]}
        return owner.sign_typed_data(domain, types, message)

    return sign


def words(signed):
    """A signature as `v, r, s`."""
    return signed.v, signed.r.to_bytes(32), signed.s.to_bytes(32)


def refused(error):
    """The custom error that must come, by its signature."""
    return pytest.raises(ContractCustomError, match=Web3.keccak(text=error)[:4].hex())


def test_a_permit_lets_its_spender_spend_once(w3, opg, owner, account, sign, mined):
    receiver = Account.create().address
    nonce = opg.functions.nonces(owner.address).call()
    message = dict(zip(PERMIT, (owner.address, account.address, 60, nonce, FOR_EVER)))
    permit = opg.functions.permit(owner.address, account.address, 60, FOR_EVER, *words(sign("Permit", PERMIT, message)))
    mined(permit.transact())
    assert opg.functions.allowance(owner.address, account.address).call() == 60
    mined(opg.functions.transferFrom(owner.address, receiver, 60).transact())
    assert w3.eth.get_balance(receiver) == opg.functions.balanceOf(receiver).call() == 60
    assert w3.eth.get_balance(owner.address) == HELD - 60
    assert opg.functions.nonces(owner.address).call() == nonce + 1
    with refused("ERC2612InvalidSigner(address,address)"):
        permit.call()


def test_an_authorization_moves_coin_of_who_signed_it_once(w3, opg, owner, sign, mined):
    receiver = Account.create().address
    nonce = os.urandom(32)
    fields = (owner.address, receiver, 40, 0, FOR_EVER, nonce)
    signed = sign("TransferWithAuthorization", AUTHORIZATION, dict(zip(AUTHORIZATION, fields)))
    transfer = opg.functions.transferWithAuthorization
    with refused("ERC3009InvalidSignature()"):
        transfer(owner.address, receiver, 41, 0, FOR_EVER, nonce, *words(signed)).call()
    receipt = mined(transfer(*fields, *words(signed)).transact())
    assert opg.events.Transfer().process_receipt(receipt, errors=DISCARD)[0].args.value == 40
    assert w3.eth.get_balance(receiver) == 40
    assert opg.functions.authorizationState(owner.address, nonce).call() is True
    # The other form of the same signature.
    with refused("ERC3009UsedAuthorization(address,bytes32)"):
        transfer(*fields, signed.signature).call()

"""What a node refuses, in the words that applications look for."""

import os

import pytest
from conftest import GWEI
from eth_account import Account
from web3.exceptions import Web3RPCError


@pytest.fixture
def send(w3, account):
    """Signs a transfer to oneself, changed as the test wants, and sends it."""

    def send(signer=account, **changes):
        transaction = {
            "chainId": w3.eth.chain_id,
            "nonce": w3.eth.get_transaction_count(signer.address),
            "to": signer.address,
            "value": 0,
            "gas": 21_000,
            "maxFeePerGas": 5 * GWEI,
            "maxPriorityFeePerGas": GWEI,
        }
        return w3.eth.send_raw_transaction(signer.sign_transaction(transaction | changes).raw_transaction)

    return send


def refused(words):
    """The JSON-RPC error that must come, in upper or lower case."""
    return pytest.raises(Web3RPCError, match=f"(?i){words}")


def test_too_little_money(send):
    with refused(r"insufficient funds for gas \* price \+ value"):
        send(signer=Account.create())


def test_a_nonce_that_was_used(w3, account, send, mined):
    mined(send())
    with refused("nonce too low"):
        send(nonce=w3.eth.get_transaction_count(account.address) - 1)


def test_a_replacement_that_pays_too_little(w3, account, send, mined):
    nonce = w3.eth.get_transaction_count(account.address)
    # It waits for the nonce before its own.
    waiting = send(nonce=nonce + 1, value=1)
    with refused("replacement transaction underpriced"):
        send(nonce=nonce + 1, value=2)
    replaced = send(nonce=nonce + 1, value=3, maxFeePerGas=10 * GWEI, maxPriorityFeePerGas=2 * GWEI)
    mined(send(nonce=nonce))
    assert mined(replaced).status == 1
    assert waiting != replaced


def test_the_same_transaction_twice(w3, account, send, mined):
    nonce = w3.eth.get_transaction_count(account.address)
    waiting = send(nonce=nonce + 1)
    with refused("already (known|imported)"):
        send(nonce=nonce + 1)
    mined(send(nonce=nonce))
    mined(waiting)


def test_too_little_gas_to_begin(send):
    with refused("intrinsic gas too low"):
        send(gas=20_000)


def test_another_chains_transaction(w3, send):
    with refused("invalid chain id"):
        send(chainId=w3.eth.chain_id + 1)


def test_a_tip_above_the_fee(send):
    with refused("max ?priority ?fee ?per ?gas higher than max ?fee ?per ?gas"):
        send(maxFeePerGas=GWEI, maxPriorityFeePerGas=2 * GWEI)


def test_a_call_without_the_money(w3, account):
    with refused("insufficient funds"):
        w3.eth.call({"from": Account.create().address, "to": account.address, "value": 1})


@pytest.mark.skipif("REFERENCE" in os.environ, reason="the reference estimates whatever the balance")
def test_an_estimate_without_the_money(w3, account):
    with refused("insufficient funds"):
        w3.eth.estimate_gas({"from": Account.create().address, "to": account.address, "value": 1})

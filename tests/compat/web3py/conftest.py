"""One connection and one funded account for all tests of web3.py."""

import json
import os
from pathlib import Path

import pytest
from eth_account import Account
from web3 import HTTPProvider, Web3
from web3.middleware import SignAndSendRawMiddlewareBuilder

ARTIFACT = Path(__file__).parent.parent / "build" / "Sample.json"
GWEI = 10**9
ETHER = 10**18


@pytest.fixture(scope="session")
def account():
    return Account.from_key(os.environ["PRIVATE_KEY"])


@pytest.fixture(scope="session")
def w3(account):
    """A connection that signs for the account, as applications set it up."""
    w3 = Web3(HTTPProvider(os.environ["RPC_URL"]))
    w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), layer=0)
    w3.eth.default_account = account.address
    return w3


@pytest.fixture(scope="session")
def artifact():
    return json.loads(ARTIFACT.read_text())


@pytest.fixture(scope="session")
def sample(w3, artifact):
    """The deployed contract."""
    factory = w3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
    receipt = w3.eth.wait_for_transaction_receipt(factory.constructor(7).transact(), timeout=20)
    assert receipt.status == 1
    return w3.eth.contract(address=receipt.contractAddress, abi=artifact["abi"])


@pytest.fixture
def mined(w3):
    """Waits for a transaction's receipt."""
    return lambda transaction_hash: w3.eth.wait_for_transaction_receipt(transaction_hash, timeout=20, poll_latency=0.02)

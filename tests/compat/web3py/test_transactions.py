"""Where am I, what do I have, and transactions of each type from signing to the receipt."""

import os

import pytest
from conftest import ETHER, GWEI
from eth_account import Account
from web3.exceptions import TransactionNotFound, Web3RPCError


def test_the_chain_introduces_itself(w3, account):
    assert w3.is_connected()
    assert w3.eth.chain_id == int(os.environ["CHAIN_ID"])
    assert w3.net.version == os.environ["CHAIN_ID"]
    assert "/" in w3.client_version
    assert w3.eth.syncing is False
    assert w3.net.listening is True
    assert w3.eth.get_balance(account.address) > ETHER


def test_blocks_by_number_tag_and_hash(w3):
    first = w3.eth.get_block(0)
    assert w3.eth.get_block(first.hash).hash == first.hash
    latest = w3.eth.get_block("latest", full_transactions=True)
    for tag in ("safe", "finalized", "pending"):
        assert w3.eth.get_block(tag).number >= 0
    assert w3.eth.get_block("earliest").number == 0
    assert latest.number <= w3.eth.block_number
    assert latest.baseFeePerGas > 0
    assert w3.eth.get_block(latest.parentHash).number == latest.number - 1


def test_fees_are_suggested(w3):
    history = w3.eth.fee_history(4, "latest", [10, 90])
    assert len(history.baseFeePerGas) == len(history.gasUsedRatio) + 1
    assert all(len(one) == 2 for one in history.reward)
    assert w3.eth.max_priority_fee >= 0
    assert w3.eth.gas_price >= history.baseFeePerGas[-1] // 2


@pytest.mark.parametrize("kind", ["legacy", "2930", "1559"])
def test_a_signed_transfer_of_each_type(w3, account, mined, kind):
    receiver = Account.create().address
    transaction = {
        "chainId": w3.eth.chain_id,
        "nonce": w3.eth.get_transaction_count(account.address, "pending"),
        "to": receiver,
        "value": 123,
        "gas": 30_000,
    }
    if kind == "1559":
        transaction |= {"maxFeePerGas": 5 * GWEI, "maxPriorityFeePerGas": GWEI}
    else:
        transaction |= {"gasPrice": 5 * GWEI}
    if kind == "2930":
        transaction["accessList"] = [{"address": receiver, "storageKeys": ["0x" + "00" * 32]}]
    signed = account.sign_transaction(transaction)
    sent = w3.eth.send_raw_transaction(signed.raw_transaction)
    assert sent == signed.hash
    receipt = mined(sent)
    assert (receipt.status, receipt["from"], receipt.to) == (1, account.address, receiver)
    assert receipt.type == {"legacy": 0, "2930": 1, "1559": 2}[kind]
    assert w3.eth.get_balance(receiver) == 123
    found = w3.eth.get_transaction(sent)
    assert (found.blockHash, found.value, found.nonce) == (receipt.blockHash, 123, transaction["nonce"])
    assert found.chainId == w3.eth.chain_id
    assert w3.eth.get_raw_transaction(sent) == signed.raw_transaction
    assert w3.eth.get_raw_transaction_by_block(receipt.blockNumber, receipt.transactionIndex) == signed.raw_transaction
    block = w3.eth.get_block(receipt.blockNumber)
    assert block.transactions[receipt.transactionIndex] == sent
    assert sent in [one.transactionHash for one in w3.eth.get_block_receipts(receipt.blockNumber)]


def test_an_account_is_delegated_called_and_freed(w3, account, sample, mined):
    """EIP-7702: a sponsor sends the authorization of another account."""
    owner = Account.create()

    def delegate_to(address, nonce, data):
        authorization = owner.sign_authorization({"chainId": w3.eth.chain_id, "address": address, "nonce": nonce})
        return mined(
            w3.eth.send_transaction(
                {
                    "to": owner.address,
                    "data": data,
                    "gas": 200_000,
                    "maxFeePerGas": 5 * GWEI,
                    "maxPriorityFeePerGas": GWEI,
                    "authorizationList": [authorization],
                }
            )
        )

    receipt = delegate_to(sample.address, 0, sample.encode_abi("setNumber", args=[77, "delegated"]))
    assert (receipt.status, receipt.type) == (1, 4)
    assert w3.eth.get_code(owner.address).hex() == "ef0100" + sample.address[2:].lower()
    delegated = w3.eth.contract(address=owner.address, abi=sample.abi)
    assert delegated.functions.number().call() == 77
    assert delegated.events.NumberChanged().process_receipt(receipt)[0].args.note == "delegated"
    assert w3.eth.get_transaction(receipt.transactionHash).authorizationList[0].address == sample.address

    assert delegate_to("0x" + "00" * 20, 1, "0x").status == 1
    assert w3.eth.get_code(owner.address).hex() == ""


def test_the_signer_manages_nonces(w3, account, mined):
    """Several transactions in a row, without waiting in between."""
    nonce = w3.eth.get_transaction_count(account.address)
    hashes = [
        w3.eth.send_transaction({"to": account.address, "value": i, "nonce": nonce + i, "gas": 21_000}) for i in range(3)
    ]
    assert w3.eth.get_transaction_count(account.address, "pending") == nonce + 3
    assert [mined(one).status for one in hashes] == [1, 1, 1]
    assert w3.eth.get_transaction_count(account.address) == nonce + 3


def test_requests_in_one_batch(w3, account):
    with w3.batch_requests() as batch:
        batch.add(w3.eth.get_block("latest"))
        batch.add(w3.eth.get_balance(account.address))
        batch.add(w3.eth.get_transaction_count(account.address))
        block, balance, nonce = batch.execute()
    assert block.number > 0
    assert balance > 0
    assert nonce > 0


def test_what_is_not_there(w3):
    with pytest.raises(TransactionNotFound):
        w3.eth.get_transaction("0x" + "12" * 32)
    with pytest.raises(TransactionNotFound):
        w3.eth.get_transaction_receipt("0x" + "12" * 32)
    with pytest.raises(Web3RPCError) as unknown:
        w3.manager.request_blocking("eth_doesNotExist", [])
    assert unknown.value.rpc_response["error"]["code"] == -32601

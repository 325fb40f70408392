"""A contract: calls, events, failures, estimates, overrides, access lists, simulation, traces."""

import pytest
from conftest import ETHER
from eth_account import Account
from web3.exceptions import ContractCustomError, ContractLogicError, ContractPanicError


def test_it_is_deployed_called_and_changed(w3, sample, artifact, mined, account):
    assert w3.eth.get_code(sample.address).hex() == artifact["deployedBytecode"][2:]
    receipt = mined(sample.functions.setNumber(8, "eight").transact())
    assert sample.functions.number().call() == 8
    assert int.from_bytes(w3.eth.get_storage_at(sample.address, 0)) == 8
    assert sample.functions.number().call(block_identifier=receipt.blockNumber) == 8
    paid = mined(sample.functions.pay().transact({"value": 5}))
    assert sample.events.Paid().process_receipt(paid)[0].args.value == 5
    assert sample.functions.paid(account.address).call() >= 5
    assert w3.eth.get_balance(sample.address) >= 5


def test_state_of_an_earlier_block(w3, sample, mined):
    before = mined(sample.functions.setNumber(1, "before").transact())
    after = mined(sample.functions.setNumber(2, "after").transact())
    assert sample.functions.number().call(block_identifier=before.blockNumber) == 1
    assert sample.functions.number().call(block_identifier=after.blockNumber) == 2


def test_events_by_range_and_by_filter(w3, sample, mined, account):
    changed = sample.events.NumberChanged
    listener = changed.create_filter(from_block="latest", argument_filters={"number": 31})
    blocks = w3.eth.filter("latest")
    receipts = [mined(sample.functions.setNumber(number, "by filter").transact()) for number in (30, 31)]
    first, last = receipts[0].blockNumber, receipts[1].blockNumber
    found = changed.get_logs(from_block=first, to_block=last, argument_filters={"by": account.address})
    assert [log.args.number for log in found] == [30, 31]
    assert found[1].transactionHash == receipts[1].transactionHash
    by_hash = w3.eth.get_logs({"blockHash": receipts[0].blockHash, "address": sample.address})
    assert [log.logIndex for log in by_hash] == [receipts[0].logs[0].logIndex]
    assert [log.args.number for log in listener.get_new_entries()] == [31]
    assert listener.get_new_entries() == []
    assert receipts[1].blockHash in blocks.get_new_entries()
    assert w3.eth.uninstall_filter(listener.filter_id) is True


def test_failures_keep_their_reason(sample):
    with pytest.raises(ContractLogicError, match="execution reverted: the sample says no"):
        sample.functions.failWithReason().call()
    with pytest.raises(ContractCustomError) as forbidden:
        sample.functions.failWithCustomError(42).call()
    assert forbidden.value.data.endswith(f"{42:064x}")
    with pytest.raises(ContractPanicError, match="Division by zero"):
        sample.functions.divide(1, 0).call()
    with pytest.raises(ContractLogicError, match="execution reverted"):
        sample.functions.failWithNothing().call()
    # Applications estimate first, and must hear the reason there too.
    with pytest.raises(ContractLogicError, match="the sample says no"):
        sample.functions.failWithReason().transact()


def test_a_failed_transaction_has_a_receipt(sample, mined):
    receipt = mined(sample.functions.failWithReason().transact({"gas": 100_000}))
    assert receipt.status == 0
    assert receipt.logs == []


def test_an_estimate_suffices(w3, sample, mined):
    gas = sample.functions.setNumber(123, "estimated").estimate_gas()
    receipt = mined(sample.functions.setNumber(123, "estimated").transact({"gas": gas}))
    assert receipt.status == 1
    assert receipt.gasUsed <= gas <= 2 * receipt.gasUsed


def test_a_call_with_changed_state(w3, sample):
    slot = "0x" + "00" * 32
    changed = sample.functions.number().call(state_override={sample.address: {"stateDiff": {slot: f"0x{99:064x}"}}})
    assert changed == 99
    poor = Account.create().address
    rich = {poor: {"balance": hex(ETHER)}}
    assert w3.eth.call({"from": poor, "to": sample.address, "value": 1}, "latest", rich) == b""


def test_an_access_list_is_made(w3, sample, account):
    made = w3.eth.create_access_list(
        {"from": account.address, "to": sample.address, "data": sample.encode_abi("number")}
    )
    assert made.accessList[0].address == sample.address
    assert made.accessList[0].storageKeys == ["0x" + "00" * 32]
    assert made.gasUsed > 21_000


def test_blocks_are_simulated(w3, sample, account):
    call = {"from": account.address, "to": sample.address}
    simulated = w3.eth.simulate_v1(
        {
            "blockStateCalls": [
                {"calls": [call | {"data": sample.encode_abi("setNumber", args=[5, "simulated"])}]},
                {"calls": [call | {"data": sample.encode_abi("number")}]},
            ]
        },
        "latest",
    )
    assert simulated[0].calls[0].status == 1
    assert len(simulated[0].calls[0].logs) == 1
    assert int.from_bytes(simulated[1].calls[0].returnData) == 5
    assert simulated[1].number == simulated[0].number + 1


def test_transactions_are_traced(w3, sample, mined):
    receiver = Account.create().address
    transaction_hash = mined(sample.functions.forward(receiver).transact({"value": 3})).transactionHash

    def trace(options):
        answer = w3.provider.make_request("debug_traceTransaction", ["0x" + transaction_hash.hex(), options])
        assert "error" not in answer, answer
        return answer["result"]

    call = trace({"tracer": "callTracer"})
    assert (call["type"], call["calls"][0]["to"], call["calls"][0]["value"]) == ("CALL", receiver.lower(), "0x3")
    touched = trace({"tracer": "prestateTracer"})
    assert sample.address.lower() in touched
    selector = sample.encode_abi("forward", args=[receiver])[:10]
    assert trace({"tracer": "4byteTracer"}) == {f"{selector}-32": 1}
    steps = trace({})
    assert steps["failed"] is False
    assert steps["structLogs"][0]["op"] == "PUSH1"

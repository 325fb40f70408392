"""News over a WebSocket: blocks, logs, waiting transactions."""

import asyncio
import os

from conftest import GWEI
from web3 import AsyncWeb3, WebSocketProvider
from web3.utils.subscriptions import LogsSubscription, NewHeadsSubscription, PendingTxSubscription


def test_news_are_told(account, sample):
    asyncio.run(asyncio.wait_for(hear_of_a_change(account, sample), timeout=20))


async def hear_of_a_change(account, sample):
    heard = {"block": asyncio.Queue(), "log": asyncio.Queue(), "waiting": asyncio.Queue()}

    def into(name):
        async def handler(context):
            await heard[name].put(context.result)

        return handler

    async with AsyncWeb3(WebSocketProvider(os.environ["WS_URL"])) as w3:
        assert await w3.eth.chain_id == int(os.environ["CHAIN_ID"])
        await w3.subscription_manager.subscribe(
            [
                NewHeadsSubscription(handler=into("block")),
                LogsSubscription(address=sample.address, handler=into("log")),
                PendingTxSubscription(handler=into("waiting")),
            ]
        )
        listening = asyncio.create_task(w3.subscription_manager.handle_subscriptions())
        transaction = await w3.eth.contract(address=sample.address, abi=sample.abi).functions.setNumber(
            500, "told"
        ).build_transaction(
            {
                "from": account.address,
                "nonce": await w3.eth.get_transaction_count(account.address),
                "gas": 100_000,
                "maxFeePerGas": 5 * GWEI,
                "maxPriorityFeePerGas": GWEI,
            }
        )
        sent = await w3.eth.send_raw_transaction(account.sign_transaction(transaction).raw_transaction)
        waiting = await heard["waiting"].get()
        while waiting != sent:
            waiting = await heard["waiting"].get()
        log = await heard["log"].get()
        while log["transactionHash"] != sent:
            log = await heard["log"].get()
        block = await heard["block"].get()
        while block["number"] < log["blockNumber"]:
            block = await heard["block"].get()
        assert block["hash"] == log["blockHash"]
        await w3.subscription_manager.unsubscribe_all()
        listening.cancel()

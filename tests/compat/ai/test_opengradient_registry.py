"""OpenGradient's SDK as its users begin: told where the chain and the registry are, and trusting the registry's certificate."""

import asyncio
import os

import httpx
import opengradient
import pytest
from conftest import RPC_URL, TEE_REGISTRY, TOOLS_MODEL, WEATHER
from langchain_core.messages import HumanMessage, SystemMessage
from opengradient.agents import langchain_adapter
from opengradient.client.tee_registry import TEERegistry, build_ssl_context_from_der
from sdk import NAME, Sdk
from web3 import Web3

KEY = os.environ["PRIVATE_KEY"]


@pytest.fixture(scope="module")
def tee():
    """The gateway, as the registry has it."""
    [tee] = TEERegistry(RPC_URL, TEE_REGISTRY).get_active_tees_by_type(0)
    return tee


SDK = Sdk(lambda: opengradient.LLM(private_key=KEY, rpc_url=RPC_URL, tee_registry_address=TEE_REGISTRY))
chat, streamed = SDK.chat, SDK.streamed


def test_the_registry_names_the_gateway_and_says_that_nothing_was_measured(tee):
    assert tee.endpoint.startswith("https://")
    assert len(tee.ohttp_config.public_key) == 32
    assert tee.pcr_hash == Web3.keccak(text="OpenGradient: simulated evidence, nothing was measured").to_0x_hex()


def test_another_certificate_is_not_trusted(tee):
    pinned = build_ssl_context_from_der(tee.tls_cert_der)
    assert httpx.get(f"{tee.endpoint}/health", verify=pinned, timeout=10).json()["status"] == "OK"
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{tee.endpoint}/health", timeout=10)


def test_a_conversation(tee):
    answer = chat(max_tokens=50)
    assert answer.chat_output["content"]
    assert answer.finish_reason == "stop"
    assert answer.usage["total_tokens"] > answer.usage["completion_tokens"] > 0
    assert (answer.tee_id, answer.tee_endpoint, answer.tee_payment_address) == (tee.tee_id, tee.endpoint, tee.payment_address)
    assert len(answer.tee_signature) == 344


def test_a_streamed_conversation_says_the_same(tee):
    whole, chunks = chat(max_tokens=50), streamed(max_tokens=50)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.chat_output["content"]
    assert len(chunks) > 5
    last = chunks[-1]
    assert (last.is_final, last.choices[0].finish_reason, last.tee_id) == (True, "stop", tee.tee_id)
    assert last.usage.total_tokens == whole.usage["total_tokens"]
    assert len(last.tee_signature) == 344


def test_a_completion(tee):
    answer = SDK.ask(lambda llm: llm.completion(model=NAME, prompt="Once upon a time", max_tokens=12))
    assert answer.completion_output
    assert answer.tee_id == tee.tee_id


def test_tools_come_whole_also_where_a_stream_is_asked_for():
    wanted = {"model": f"og/{TOOLS_MODEL}", "tools": [WEATHER], "tool_choice": "required", "max_tokens": 60}
    whole = chat(**wanted)
    assert whole.finish_reason == "tool_calls"
    [call] = whole.chat_output["tool_calls"]
    assert (call["type"], call["function"]["name"]) == ("function", "weather")
    # The SDK asks for no stream where there are tools.
    [chunk] = streamed(**wanted)
    assert chunk.is_final
    assert chunk.choices[0].delta.tool_calls[0]["function"] == call["function"]


def test_what_is_refused_is_told():
    with pytest.raises(RuntimeError, match="web_search"):
        chat(web_search=True)
    with pytest.raises(RuntimeError, match="no-such-model"):
        chat(model="og/no-such-model")


def test_an_empty_registry_is_told():
    """Where there is no registry, the SDK's own error says that no gateway is there."""
    with pytest.raises(ValueError, match="No active LLM proxy TEE"):
        opengradient.LLM(private_key=KEY, rpc_url=RPC_URL, tee_registry_address="0x" + "11" * 20)


# LangChain's adapter.


def adapter(model=NAME, **settings):
    return langchain_adapter(private_key=KEY, model_cid=model, rpc_url=RPC_URL, tee_registry_address=TEE_REGISTRY, **settings)


def test_langchain_asks_and_streams():
    turns = [SystemMessage("You are kind."), HumanMessage("Tell me about a frog.")]

    async def run():
        model = adapter(max_tokens=30)
        try:
            whole = await model.ainvoke(turns)
            return whole, [chunk async for chunk in model.astream(turns)]
        finally:
            await model.aclose()

    whole, chunks = asyncio.run(asyncio.wait_for(run(), timeout=30))
    assert whole.content
    assert "".join(chunk.content for chunk in chunks) == whole.content
    assert len(chunks) > 5


def test_langchain_binds_tools():
    async def run():
        model = adapter(f"og/{TOOLS_MODEL}", max_tokens=60)
        try:
            return await model.bind_tools([WEATHER], tool_choice="required").ainvoke("How is the weather in Paris?")
        finally:
            await model.aclose()

    answer = asyncio.run(asyncio.wait_for(run(), timeout=30))
    [call] = answer.tool_calls
    assert call["name"] == "weather"


def test_langchain_cannot_be_told_a_url():
    """The adapter hands a setting to the SDK's LLM that this does not take: a bug of version 1.1.4, which `client=` goes round."""
    with pytest.raises(TypeError, match="llm_server_url"):
        langchain_adapter(private_key=KEY, model_cid=NAME, llm_server_url="http://127.0.0.1:1")

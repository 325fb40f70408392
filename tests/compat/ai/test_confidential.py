"""OpenGradient's ConfidentialLLM: requests sealed for the gateway, sent through the relay, and answers that it verifies itself."""

import json

import opengradient
import pytest
import requests
from conftest import GATEWAY_URL, MODEL, QUESTION, RELAY_URL, RPC_URL, TEE_REGISTRY, TOOLS_MODEL, WEATHER
from opengradient import RelayError, VerificationError
from opengradient.client.tee_registry import TEERegistry


@pytest.fixture(scope="module")
def llm():
    return opengradient.ConfidentialLLM(RELAY_URL, rpc_url=RPC_URL, registry_address=TEE_REGISTRY)


def test_a_conversation_is_sealed_answered_and_verified(llm):
    answer = llm.chat(model=MODEL, messages=QUESTION, max_tokens=50)
    assert answer.content == answer.body["choices"][0]["message"]["content"] != ""
    assert answer.proof.tee_id == f"0x{llm.tee.tee_id}"
    assert answer.stream_frames is None
    assert answer.body["og_receipt"]["request_id"]


def test_a_stream_is_verified_and_says_the_same(llm):
    wanted = {"model": MODEL, "messages": QUESTION, "max_tokens": 50}
    whole, streamed = llm.chat(**wanted), llm.chat(**wanted, stream=True)
    assert streamed.content == whole.content
    assert streamed.proof.request_hash == whole.proof.request_hash
    assert len(streamed.stream_frames) > 5
    assert [frame for frame in streamed.stream_frames if frame][-1].endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [False, True])
def test_calls_of_tools_verify(llm, stream):
    wanted = {"tools": [WEATHER], "tool_choice": "required", "max_tokens": 60, "stream": stream}
    answer = llm.chat(model=TOOLS_MODEL, messages=QUESTION, **wanted)
    assert answer.body["choices"][0]["finish_reason"] == "tool_calls"
    [call] = json.loads(answer.content)
    assert call["function"]["name"] == "weather"


def test_settings_and_turns_are_part_of_what_is_verified(llm):
    turns = [
        {"role": "developer", "content": "You are kind, Zoë. \u2028😀"},
        {"role": "user", "content": [{"type": "text", "text": "Hello!"}]},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Go on."},
    ]
    settings = {"max_tokens": 12, "temperature": 0.7, "stop_sequence": ["zebra"]}
    answer = llm.chat(model=MODEL, messages=turns, **settings)
    assert answer.content


def test_a_receipt_is_beside_the_answer(llm, verified):
    answer = llm.chat(model=MODEL, messages=QUESTION, max_tokens=8)
    assert "The receipt verifies." in verified(answer.body["og_receipt"])


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_refused_inside_is_told(llm, stream):
    for settings, status, reason in (
        ({"model": "no-such-model"}, 404, "no-such-model"),
        ({"temperature": 9}, 400, "temperature"),
        ({"web_search": True}, 400, "web_search"),
    ):
        with pytest.raises(RelayError, match=reason) as refused:
            llm.chat(**{"model": MODEL, "messages": QUESTION, "stream": stream} | settings)
        # The client calls every error in a stream one of the relay.
        assert refused.value.status_code == (502 if stream else status)


def test_the_relay_tells_its_own_errors(llm):
    other = opengradient.ConfidentialLLM.from_tee(RELAY_URL, llm.tee, auth_headers=lambda: {"X-TEE-ID": "00" * 32})
    with pytest.raises(RelayError, match="no active gateway of this name") as refused:
        other.chat(model=MODEL, messages=QUESTION)
    assert refused.value.status_code == 404


def test_an_answer_of_another_key_is_not_taken(llm):
    """What the client would do if the gateway were not the one of the registry."""
    key = requests.get(f"{GATEWAY_URL}/signing-key", timeout=10).json()["public_key"]
    assert key == opengradient.client.tee_verify.pem_from_der(llm.tee.signing_public_key_der)
    [tee] = TEERegistry(RPC_URL, TEE_REGISTRY).get_active_tees_by_type(0)
    stranger = opengradient.client.tee_registry.TEEEndpoint(**vars(tee) | {"tee_id": "11" * 32})
    other = opengradient.ConfidentialLLM.from_tee(RELAY_URL, stranger, auth_headers=lambda: {"X-TEE-ID": tee.tee_id})
    with pytest.raises(VerificationError, match="tee_id"):
        other.chat(model=MODEL, messages=QUESTION, max_tokens=4)


def test_models_may_be_named_as_the_documentation_does(llm):
    """Given a constant of the SDK's list, as documented, version 1.1.4 sends `TEE_LLM.GPT_5` instead of the model's name: a bug that
    the gateway bears with. It hashes what was sent."""
    for name in (f"og/{MODEL}", f"TEE_LLM.{MODEL.upper()}"):
        assert llm.chat(model=name, messages=QUESTION, max_tokens=4).content
    with pytest.raises(RelayError, match="TEE_LLM.GPT_5"):
        llm.chat(model=opengradient.TEE_LLM.GPT_5, messages=QUESTION)

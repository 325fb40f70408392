"""OpenGradient's SDK, told the gateway's URL; what it gets is judged by its own verifier of signatures."""

import json
import os
import urllib.request

import httpx
import opengradient
import pytest
from conftest import GATEWAY_URL, MODEL, QUESTION
from opengradient.client.tee_verify import (
    VerificationError,
    build_inner_request,
    response_content_for_hash,
    tee_id_for_key,
    verify_response,
)
from sdk import NAME, Sdk


@pytest.fixture(scope="module")
def signing_key():
    """The gateway's key, in PEM. An SDK that reads the registry finds it there."""
    with urllib.request.urlopen(f"{GATEWAY_URL}/signing-key", timeout=10) as response:
        keys = json.load(response)
    assert tee_id_for_key(keys["public_key"]) == keys["tee_id"]
    return keys["public_key"]


SDK = Sdk(lambda: opengradient.LLM.from_url(private_key=os.environ["PRIVATE_KEY"], llm_server_url=GATEWAY_URL))
chat, streamed = SDK.chat, SDK.streamed


def test_a_conversation():
    answer = chat(max_tokens=50)
    assert answer.chat_output["role"] == "assistant"
    assert answer.chat_output["content"]
    assert answer.finish_reason == "stop"
    assert answer.usage["total_tokens"] > answer.usage["completion_tokens"] > 0
    assert len(answer.tee_signature) == 344
    assert answer.tee_timestamp > 1_700_000_000


def test_a_streamed_conversation_says_the_same():
    whole, chunks = chat(max_tokens=50), streamed(max_tokens=50)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.chat_output["content"]
    assert len(chunks) > 5
    last = chunks[-1]
    assert [chunk.is_final for chunk in chunks[-2:]] == [False, True]
    assert last.choices[0].finish_reason == "stop"
    assert last.usage.total_tokens == whole.usage["total_tokens"]
    assert len(last.tee_signature) == 344


def test_a_completion():
    async def complete(llm):
        return await llm.completion(model=NAME, prompt="Once upon a time", max_tokens=12)

    answer = SDK.ask(complete)
    assert answer.completion_output
    assert len(answer.tee_signature) == 344


def test_where_an_answer_ends():
    whole = chat(max_tokens=50).chat_output["content"]
    second_word = whole.split()[1]
    stopped = chat(max_tokens=50, stop_sequence=[second_word]).chat_output["content"]
    assert second_word not in stopped
    assert whole.startswith(stopped)


def test_what_is_refused_is_told():
    with pytest.raises(RuntimeError, match="no-such-model"):
        chat(model="og/no-such-model")
    with pytest.raises(RuntimeError, match="temperature"):
        chat(temperature=9)


# The SDK's LLM hands signatures on without looking. Its verifier wants the whole answer, which is therefore asked for plainly,
# with the header by which the gateway knows the SDK.


def plain_answer(body):
    headers = {"X-SETTLEMENT-TYPE": "batch"}
    return httpx.post(f"{GATEWAY_URL}/v1/chat/completions", json=body, headers=headers, timeout=20).raise_for_status()


BODY = {"model": MODEL, "messages": QUESTION, "max_tokens": 20, "temperature": 0.5, "stop": ["zebra"]}


def test_the_signature_verifies(signing_key):
    wire, canonical = build_inner_request(BODY)
    answer = plain_answer(wire).json()
    wanted = {
        "canonical_request": canonical,
        "response_body": answer,
        "response_content": response_content_for_hash(answer),
        "signing_key_pem": signing_key,
    }
    assert verify_response(**wanted).tee_id == answer["tee_id"]
    for changed in (
        {"canonical_request": canonical | {"max_tokens": 21}},
        {"response_content": "something else"},
        {"response_body": answer | {"tee_timestamp": answer["tee_timestamp"] + 1}},
    ):
        with pytest.raises(VerificationError):
            verify_response(**wanted | changed)


def test_a_streams_signature_verifies(signing_key):
    wire, canonical = build_inner_request(BODY)
    lines = plain_answer(wire | {"stream": True}).text.splitlines()
    *frames, done = [line.removeprefix("data: ") for line in lines if line]
    assert done == "[DONE]"
    frames = [json.loads(frame) for frame in frames]
    verify_response(
        canonical_request=canonical,
        response_body=frames[-1],
        response_content="".join(frame["choices"][0]["delta"].get("content") or "" for frame in frames),
        signing_key_pem=signing_key,
    )


def test_a_receipt_is_beside_the_signature(verified):
    assert "The receipt verifies." in verified(plain_answer(BODY).json()["og_receipt"])

"""Anthropic's client: messages, whole and streamed."""

import anthropic
import pytest
from conftest import API_KEY, GATEWAY_URL, MODEL, QUESTION


@pytest.fixture(scope="module")
def client():
    with anthropic.Anthropic(base_url=GATEWAY_URL, api_key=API_KEY, max_retries=0) as client:
        yield client


# The format has no seed: without chance, answers are the same. This client knows no `temperature` any more; the format does.
WANTED = {
    "model": MODEL,
    "messages": QUESTION,
    "system": "You are kind.",
    "max_tokens": 100,
    "extra_body": {"temperature": 0},
}


def test_a_message(client, verified):
    answer = client.messages.create(**WANTED)
    [block] = answer.content
    assert (answer.type, answer.role, answer.model, answer.stop_reason) == ("message", "assistant", MODEL, "end_turn")
    assert block.type == "text"
    assert block.text
    assert 0 < answer.usage.output_tokens < 100
    assert answer.usage.input_tokens > 0
    assert "The receipt verifies." in verified(answer.og_receipt)


def test_a_streamed_message_says_the_same(client):
    whole = client.messages.create(**WANTED)
    with client.messages.stream(**WANTED) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert len(pieces) > 3
    assert "".join(pieces) == whole.content[0].text == final.content[0].text
    assert (final.stop_reason, final.usage.output_tokens) == (whole.stop_reason, whole.usage.output_tokens)


def test_the_events_of_a_stream(client):
    kinds = [event.type for event in client.messages.create(**WANTED, stream=True)]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) <= {"content_block_delta", "ping"}


def test_a_streams_receipt_verifies(client, verified):
    [og_receipt] = [
        event.og_receipt for event in client.messages.create(**WANTED, stream=True) if "og_receipt" in event.model_extra
    ]
    assert "The receipt verifies." in verified(og_receipt)


def test_where_a_message_ends(client):
    cut = client.messages.create(**WANTED | {"max_tokens": 3})
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 3)
    second_word = cut.content[0].text.split()[1]
    stopped = client.messages.create(**WANTED, stop_sequences=[second_word])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", second_word)
    assert second_word not in stopped.content[0].text
    with client.messages.stream(**WANTED, stop_sequences=["never in it", second_word]) as stream:
        final = stream.get_final_message()
    assert (final.stop_reason, final.stop_sequence) == ("stop_sequence", second_word)


def test_tokens_are_counted_before_they_are_paid_for(client):
    asked = {name: WANTED[name] for name in ("model", "messages", "system")}
    assert client.messages.count_tokens(**asked).input_tokens == client.messages.create(**WANTED).usage.input_tokens
    with pytest.raises(anthropic.NotFoundError, match="embeddings"):
        client.messages.count_tokens(**asked | {"model": "vectors"})


def test_errors_have_their_types(client):
    with pytest.raises(anthropic.NotFoundError) as unknown:
        client.messages.create(**WANTED | {"model": "no-such-model"})
    assert unknown.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.BadRequestError, match="frobnicate"):
        client.messages.create(**WANTED | {"extra_body": {"frobnicate": 1}})
    with pytest.raises(anthropic.BadRequestError, match="temperature"):
        client.messages.create(**WANTED | {"extra_body": {"temperature": 9}})

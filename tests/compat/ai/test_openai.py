"""OpenAI's client: conversations, completions, responses, whole and streamed."""

import asyncio
import json

import pytest
from conftest import API_KEY, MODEL, OPENAI_URL, QUESTION
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
SCHEMA = {
    "type": "object",
    "properties": {"tame": {"type": "boolean"}},
    "required": ["tame"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def client():
    with OpenAI(base_url=OPENAI_URL, api_key=API_KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def chat(client):
    """Asks the question, with what the test wants beside."""

    def chat(**settings):
        return client.chat.completions.create(**{"model": MODEL, "messages": QUESTION, "seed": 1} | settings)

    return chat


def test_models_are_listed(client):
    listed = {one.id: one for one in client.models.list()}
    assert listed[MODEL].object == "model"
    assert "digits" in listed


def test_a_conversation(chat):
    answer = chat(max_tokens=100)
    [choice] = answer.choices
    assert (answer.object, answer.model, choice.message.role) == ("chat.completion", MODEL, "assistant")
    assert choice.finish_reason == "stop"
    assert "frog" in choice.message.content or "animal" in choice.message.content
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert 0 < answer.usage.completion_tokens < 100


def test_turns_of_all_roles(chat):
    turns = [
        {"role": "system", "content": "You are kind."},
        {"role": "user", "content": [{"type": "text", "text": "Hello!"}]},
        {"role": "assistant", "content": "Hello! Would you like to hear a story?"},
        {"role": "user", "content": "Yes, please."},
    ]
    alone = chat(messages=turns[-1:], max_tokens=20)
    assert chat(messages=turns, max_tokens=20).usage.prompt_tokens > alone.usage.prompt_tokens


def test_a_streamed_conversation_says_the_same(chat):
    whole = chat(max_tokens=30)
    frames = list(chat(max_tokens=30, stream=True, stream_options={"include_usage": True}))
    pieces = [frame.choices[0] for frame in frames if frame.choices]
    assert "".join(piece.delta.content or "" for piece in pieces) == whole.choices[0].message.content
    assert len(pieces) > 5
    assert pieces[0].delta.role == "assistant"
    assert [piece.finish_reason for piece in pieces if piece.finish_reason] == [whole.choices[0].finish_reason]
    assert frames[-1].usage == whole.usage
    assert {frame.object for frame in frames} == {"chat.completion.chunk"}
    assert len({frame.id for frame in frames}) == 1


def test_usage_is_streamed_only_if_wanted(chat):
    frames = list(chat(max_tokens=5, stream=True))
    assert all(frame.usage is None for frame in frames)
    assert all(frame.choices for frame in frames if frame.model_extra.get("og_receipt") is None)


def test_streams_at_the_same_time():
    """As applications do it: one client, several streams on one event loop."""
    async def read(client, seed):
        stream = await client.chat.completions.create(model=MODEL, messages=QUESTION, seed=seed, max_tokens=20, stream=True)
        return "".join([frame.choices[0].delta.content or "" async for frame in stream if frame.choices])

    async def read_all():
        async with AsyncOpenAI(base_url=OPENAI_URL, api_key=API_KEY, max_retries=0) as client:
            return await asyncio.gather(*(read(client, seed) for seed in (1, 2, 1, 2)))

    first, second, *again = asyncio.run(read_all())
    assert again == [first, second]
    assert first


def test_a_seed_gives_the_same_again(chat):
    first, again, other = (chat(seed=seed, max_tokens=40, temperature=1.5) for seed in (7, 7, 8))
    assert first.choices[0].message.content == again.choices[0].message.content
    assert first.choices[0].message.content != other.choices[0].message.content


def test_several_choices(chat):
    answer = chat(n=2, temperature=1.5, max_tokens=40)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.choices[0].message.content != answer.choices[1].message.content
    frames = list(chat(n=2, temperature=1.5, max_tokens=40, stream=True))
    for index in (0, 1):
        pieces = [piece for frame in frames for piece in frame.choices if piece.index == index]
        assert "".join(piece.delta.content or "" for piece in pieces) == answer.choices[index].message.content
        assert pieces[-1].finish_reason is not None


def test_where_an_answer_ends(chat):
    cut = chat(max_tokens=3)
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 3)
    assert chat(max_completion_tokens=3).choices[0].message.content == cut.choices[0].message.content
    second_word = cut.choices[0].message.content.split()[1]
    stopped = chat(stop=[second_word])
    assert stopped.choices[0].finish_reason == "stop"
    assert second_word not in stopped.choices[0].message.content
    assert cut.choices[0].message.content.startswith(stopped.choices[0].message.content)


def test_a_completion_whole_and_streamed(client):
    wanted = {"model": MODEL, "prompt": "Once upon a time", "max_tokens": 12, "seed": 3}
    whole = client.completions.create(**wanted)
    assert (whole.object, whole.choices[0].finish_reason, whole.usage.completion_tokens) == ("text_completion", "length", 12)
    frames = list(client.completions.create(**wanted, stream=True))
    assert "".join(frame.choices[0].text for frame in frames if frame.choices) == whole.choices[0].text
    assert len(frames) > 5


def test_a_response_whole_and_streamed(client):
    wanted = {"model": MODEL, "input": "Hello!", "instructions": "You are kind.", "temperature": 0}
    whole = client.responses.create(**wanted)
    assert (whole.object, whole.status, whole.error) == ("response", "completed", None)
    assert whole.output_text
    events = list(client.responses.create(**wanted, stream=True))
    assert [events[0].type, events[-1].type] == ["response.created", "response.completed"]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    streamed = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert streamed == whole.output_text == events[-1].response.output_text
    with client.responses.stream(**wanted) as stream:
        assert stream.get_final_response().output_text == whole.output_text


def test_a_response_that_is_cut(client):
    cut = client.responses.create(model=MODEL, input="Tell me a story.", max_output_tokens=16)
    assert (cut.status, cut.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_probabilities(chat):
    answer = chat(max_tokens=4, logprobs=True, top_logprobs=2)
    tokens = answer.choices[0].logprobs.content
    assert "".join(one.token for one in tokens) == answer.choices[0].message.content
    assert all(one.logprob <= 0 and len(one.top_logprobs) == 2 for one in tokens)


def test_a_schema_is_kept(chat):
    shape = {"type": "json_schema", "json_schema": {"name": "frog", "schema": SCHEMA, "strict": True}}
    said = json.loads(chat(max_tokens=60, response_format=shape).choices[0].message.content)
    assert (list(said), type(said["tame"])) == (["tame"], bool)


def test_a_penalty_changes_the_answer(chat):
    # Two, the most, is little beside this model's logits: the same text is likelier than another by more. So a stronger one too.
    settings = {"max_tokens": 60, "temperature": 0}
    plain, other = chat(**settings), chat(**settings, frequency_penalty=2, extra_body={"repetition_penalty": 16})
    assert plain.choices[0].message.content != other.choices[0].message.content


def test_tools_that_may_not_be_called_change_nothing(chat):
    plain, offered = (chat(max_tokens=8, **more) for more in ({}, {"tools": [WEATHER], "tool_choice": "none"}))
    assert plain.choices[0].message.content == offered.choices[0].message.content


# What a model cannot do is refused by name, and never left out in silence.


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("param", "settings"),
    [
        ("tools", {"tools": [WEATHER]}),
        ("tools", {"tools": [WEATHER], "tool_choice": "required"}),
        ("messages[0].content[1]", {"messages": [{"role": "user", "content": [{"type": "text", "text": "Look!"}, PICTURE]}]}),
        ("response_format", {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"not": {}}}}}),
    ],
)
def test_what_the_model_cannot_do_is_refused_by_name(chat, param, settings, stream):
    with pytest.raises(BadRequestError) as refused:
        chat(**settings, stream=stream)
    assert (refused.value.param, refused.value.code) == (param, "unsupported_parameter")
    assert refused.value.body["message"].startswith(f"'{param}' ")


# Vectors of texts: of a model of another service (`harness/upstream.py` says which), and of one that runs here.


def test_embeddings(client, verified):
    # The client asks for base64 unless it is told otherwise, and reads it.
    answer = client.embeddings.create(model="vectors", input=["A frog", "@"], dimensions=3)
    assert [one.embedding for one in answer.data] == [[65 / 128, 32 / 128, 102 / 128], [0.5, 0.25, 0.25]]
    assert [one.index for one in answer.data] == [0, 1]
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (3, 3)
    assert answer.og_receipt["relayed_from"].startswith("127.0.0.1:")
    assert "The receipt verifies." in verified(answer.og_receipt)
    listed = client.embeddings.create(model="vectors", input="A frog", encoding_format="float")
    assert len(listed.data[0].embedding) == 4
    assert listed.data[0].embedding[:3] == answer.data[0].embedding


def test_embeddings_of_a_model_that_runs_here(client, verified):
    texts = ["A cat sat in the garden.", "A dog ran through the garden.", "A cat sat in the garden."]
    answer = client.embeddings.create(model="words", input=texts)
    cat, dog, again = (one.embedding for one in answer.data)
    assert cat == again != dog
    assert sum(x * x for x in cat) == pytest.approx(1, abs=1e-4)
    assert answer.usage.prompt_tokens > len(texts)
    assert answer.og_receipt["computed"] == "exact"
    assert "The receipt verifies." in verified(answer.og_receipt)
    short = client.embeddings.create(model="words", input=texts[0], dimensions=3).data[0].embedding
    assert len(short) == 3 and sum(x * x for x in short) == pytest.approx(1, abs=1e-4)
    with pytest.raises(BadRequestError) as refused:
        client.embeddings.create(model="words", input=texts, dimensions=60_000)
    assert refused.value.param == "dimensions"


def test_models_that_embed_are_listed_as_such(client):
    tasks = {one.id: one.task for one in client.models.list()}
    assert (tasks["vectors"], tasks[MODEL], tasks["digits"]) == ("embeddings", "language", "tensors")
    with pytest.raises(NotFoundError) as refused:
        client.embeddings.create(model=MODEL, input="A frog")
    assert refused.value.param == "model"


def test_errors_have_their_types(client, chat):
    with pytest.raises(NotFoundError) as unknown:
        chat(model="no-such-model")
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(BadRequestError) as refused:
        chat(extra_body={"frobnicate": 1})
    assert (refused.value.param, refused.value.type) == ("frobnicate", "invalid_request_error")
    with pytest.raises(BadRequestError) as refused:
        chat(temperature=9)
    assert refused.value.param == "temperature"
    with pytest.raises(BadRequestError) as refused:
        chat(stream=True, top_p=-1)
    assert refused.value.param == "top_p"
    # A model that does not talk.
    with pytest.raises((BadRequestError, NotFoundError)):
        chat(model="digits")


# The proof that rides beside an answer.


def test_a_receipt_is_beside_the_answer_and_verifies(chat, verified):
    answer = chat(max_tokens=10)
    og_receipt = answer.og_receipt
    assert og_receipt["seed"] == 1
    assert "The receipt verifies." in verified(og_receipt)


def test_a_streams_receipt_verifies(chat, verified):
    frames = list(chat(max_tokens=10, stream=True))
    [og_receipt] = [frame.og_receipt for frame in frames if "og_receipt" in frame.model_extra]
    assert "The receipt verifies." in verified(og_receipt)
    assert frames[-1].og_receipt == og_receipt


def test_a_responses_receipt_verifies(client, verified):
    assert "The receipt verifies." in verified(client.responses.create(model=MODEL, input="Hello!").og_receipt)


def test_each_choice_has_a_receipt(chat, verified):
    receipts = chat(max_tokens=5, n=2).og_receipt
    assert len({one["request_id"] for one in receipts}) == 2
    for one in receipts:
        verified(one)

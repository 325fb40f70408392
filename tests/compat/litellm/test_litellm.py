"""LiteLLM, which speaks to the gateway in OpenAI's format and in Anthropic's."""

import asyncio
import os

# Otherwise it looks for prices on the internet when it is imported.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # noqa: E402
import pytest  # noqa: E402

GATEWAY_URL = os.environ["GATEWAY_URL"]
QUESTION = [{"role": "user", "content": "Tell me about a frog."}]
# Without chance, answers are the same.
WANTED = {"messages": QUESTION, "api_key": "none-needed", "max_tokens": 50, "temperature": 0, "num_retries": 0}
OPENAI = WANTED | {"model": "openai/story", "api_base": f"{GATEWAY_URL}/v1"}
ANTHROPIC = WANTED | {"model": "anthropic/story", "api_base": GATEWAY_URL}


@pytest.mark.parametrize("wanted", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
def test_an_answer_whole_and_streamed(wanted):
    whole = litellm.completion(**wanted)
    assert whole.choices[0].message.content
    assert whole.choices[0].finish_reason == "stop"
    assert 0 < whole.usage.completion_tokens < 50
    frames = list(litellm.completion(**wanted, stream=True))
    assert len(frames) > 5
    assert litellm.stream_chunk_builder(frames).choices[0].message.content == whole.choices[0].message.content
    cut = litellm.completion(**wanted | {"max_tokens": 3})
    assert cut.choices[0].finish_reason == "length"


@pytest.mark.parametrize("wanted", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
def test_errors_have_their_types(wanted):
    name = wanted["model"].replace("story", "no-such-model")
    with pytest.raises(litellm.NotFoundError):
        litellm.completion(**wanted | {"model": name})
    with pytest.raises(litellm.BadRequestError, match="temperature"):
        litellm.completion(**wanted | {"temperature": 9})


def test_without_blocking():
    async def read():
        stream = await litellm.acompletion(**OPENAI, stream=True)
        return "".join([frame.choices[0].delta.content or "" async for frame in stream])

    assert asyncio.run(read()) == litellm.completion(**OPENAI).choices[0].message.content


def test_a_completion():
    answer = litellm.text_completion(
        model="text-completion-openai/story",
        api_base=f"{GATEWAY_URL}/v1",
        api_key="none-needed",
        prompt="Once upon a time",
        max_tokens=12,
    )
    assert answer.choices[0].text

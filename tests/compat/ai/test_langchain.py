"""LangChain's model of OpenAI's format: asked, streamed, in a chain, for several questions at a time."""

import asyncio

import openai
import pytest
from conftest import API_KEY, MODEL, OPENAI_URL
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI

QUESTION = "Tell me about a frog."


def model(**settings):
    return ChatOpenAI(**{"base_url": OPENAI_URL, "api_key": API_KEY, "model": MODEL, "seed": 1, "max_retries": 0} | settings)


def test_a_question():
    answer = model(max_tokens=50).invoke([("system", "You are kind."), ("human", QUESTION)])
    assert answer.text
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.response_metadata["model_name"] == MODEL
    assert answer.usage_metadata["total_tokens"] > answer.usage_metadata["output_tokens"] > 0


def test_a_streamed_answer_says_the_same():
    whole = model(max_tokens=50).invoke(QUESTION)
    chunks = list(model(max_tokens=50, stream_usage=True).stream(QUESTION))
    assert len([chunk for chunk in chunks if chunk.text]) > 5
    together = chunks[0]
    for chunk in chunks[1:]:
        together += chunk
    assert together.text == whole.text
    assert together.usage_metadata["total_tokens"] == whole.usage_metadata["total_tokens"]
    assert together.response_metadata["finish_reason"] == "stop"


def test_a_chain_for_several_questions():
    chain = ChatPromptTemplate.from_messages([("human", "Tell me about a {animal}.")]) | model(max_tokens=20) | StrOutputParser()
    answers = chain.batch([{"animal": "frog"}, {"animal": "whale"}, {"animal": "frog"}])
    assert answers[0] == answers[2]
    assert answers[0] != answers[1]


def test_without_blocking():
    async def read():
        return "".join([chunk.text async for chunk in model(max_tokens=20).astream(QUESTION)])

    assert asyncio.run(read()) == model(max_tokens=20).invoke(QUESTION).text


def test_the_responses_format():
    settings = {"use_responses_api": True, "temperature": 0, "seed": None, "max_tokens": 50}
    whole = model(**settings).invoke(QUESTION)
    assert whole.text
    assert "".join(chunk.text for chunk in model(**settings).stream(QUESTION)) == whole.text


def test_errors_are_the_clients():
    with pytest.raises(openai.NotFoundError):
        model(model="no-such-model").invoke(QUESTION)
    with pytest.raises(openai.BadRequestError, match="frobnicate"):
        model(extra_body={"frobnicate": 1}).invoke(QUESTION)

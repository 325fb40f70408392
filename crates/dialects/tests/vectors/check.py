"""Shows answers/* to the published clients, and sent/* to the published types; fails where one of them is not understood."""

import json
import pathlib

import anthropic
import httpx2
import openai
import pydantic
from google.genai import types as google

HERE = pathlib.Path(__file__).parent


def answer(name, status=200):
    """An HTTP client that always gets this file."""
    kind = "text/event-stream" if name.endswith(".sse") else "application/json"
    body = (HERE / "answers" / name).read_bytes()
    handle = lambda request: httpx2.Response(status, content=body, headers={"content-type": kind})
    return httpx2.Client(transport=httpx2.MockTransport(handle))


def ask_openai(name, status=200):
    return openai.OpenAI(api_key="none", max_retries=0, http_client=answer(name, status))


def ask_anthropic(name, status=200):
    return anthropic.Anthropic(api_key="none", max_retries=0, http_client=answer(name, status))


def strictly(value):
    """Clients accept anything; the types themselves do not."""
    type(value).model_validate(json.loads(value.model_dump_json(by_alias=True, warnings="error", exclude_unset=True)))
    return value


TEXT = "Well, é"
MESSAGES = [{"role": "user", "content": "Hi"}]


def chat(completion):
    [choice] = completion.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content == TEXT
    [call] = choice.message.tool_calls
    assert (call.id, call.function.name, call.function.arguments) == ("call_1", "look", '{"at":1}')
    [token] = choice.logprobs.content
    assert token.logprob == -0.5 and [other.token for other in token.top_logprobs] == [TEXT, "No"]
    assert completion.usage.total_tokens == 30


completion = strictly(ask_openai("openai_chat.json").chat.completions.create(model="m", messages=MESSAGES))
chat(completion)
assert completion.og_receipt == {"id": "0x01"}

chunks = list(ask_openai("openai_chat.sse").chat.completions.create(model="m", messages=MESSAGES, stream=True))
for chunk in chunks:
    strictly(chunk)
assert chunks[-1].choices == [] and chunks[-1].og_receipt == {"id": "0x01"}
with ask_openai("openai_chat.sse").chat.completions.stream(
    model="m", messages=MESSAGES, stream_options={"include_usage": True}
) as stream:
    chat(stream.get_final_completion())

try:
    list(ask_openai("openai_chat_broken.sse").chat.completions.create(model="m", messages=MESSAGES, stream=True))
    raise SystemExit("no error")
except openai.APIError as error:
    assert (error.message, error.type) == ("Come back.", "server_error")

chunks = list(ask_openai("opengradient_chat.sse").chat.completions.create(model="m", messages=MESSAGES, stream=True))
assert chunks[-1].choices[0].finish_reason == "tool_calls" and chunks[-1].usage.total_tokens == 30
assert chunks[-1].og_receipt == {"id": "0x01"}

completion = strictly(ask_openai("openai_completion.json").completions.create(model="m", prompt="Hi"))
assert (completion.choices[0].text, completion.choices[0].finish_reason) == (TEXT, "length")
assert completion.choices[0].logprobs.top_logprobs == [{TEXT: -0.5, "No": -1.0}]
# Not strictly: the types have no null for what has not ended, though the API does.
chunks = list(ask_openai("openai_completion.sse").completions.create(model="m", prompt="Hi", stream=True))
assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == TEXT


def response(answered):
    assert answered.output_text == TEXT and answered.status == "completed"
    message, call = answered.output
    assert message.content[0].logprobs[0].logprob == -0.5
    assert (call.call_id, call.name, call.arguments) == ("call_1", "look", '{"at":1}')
    assert answered.usage.total_tokens == 30 and answered.og_receipt == {"id": "0x01"}


response(strictly(ask_openai("openai_responses.json").responses.create(model="m", input="Hi")))
events = list(ask_openai("openai_responses.sse").responses.create(model="m", input="Hi", stream=True))
for event in events:
    strictly(event)
response(events[-1].response)
with ask_openai("openai_responses.sse").responses.stream(model="m", input="Hi") as stream:
    response(stream.get_final_response())
events = list(ask_openai("openai_responses_failed.sse").responses.create(model="m", input="Hi", stream=True))
assert strictly(events[-1]).response.error.message == "Come back."

[embedding] = strictly(ask_openai("openai_embeddings.json").embeddings.create(model="m", input="Hi")).data
assert embedding.embedding == [0.5, -0.25]
[model] = ask_openai("openai_models.json").models.list()
assert strictly(model).id == "m"
try:
    ask_openai("openai_error.json", 404).models.retrieve("m")
    raise SystemExit("no error")
except openai.NotFoundError as error:
    assert (error.code, error.param, error.type) == ("model_not_found", "model", "invalid_request_error")


def message(answered):
    text, call = answered.content
    assert text.text == TEXT and answered.stop_reason == "tool_use"
    assert (call.id, call.name, call.input) == ("call_1", "look", {"at": 1})
    assert (answered.usage.input_tokens, answered.usage.output_tokens) == (10, 20)


message(strictly(ask_anthropic("anthropic_messages.json").messages.create(model="m", max_tokens=9, messages=MESSAGES)))
with ask_anthropic("anthropic_messages.sse").messages.stream(model="m", max_tokens=9, messages=MESSAGES) as stream:
    message(stream.get_final_message())
events = ask_anthropic("anthropic_messages.sse").messages.create(model="m", max_tokens=9, messages=MESSAGES, stream=True)
for event in events:
    strictly(event)
try:
    list(ask_anthropic("anthropic_messages_broken.sse").messages.create(model="m", max_tokens=9, messages=MESSAGES, stream=True))
    raise SystemExit("no error")
except anthropic.APIStatusError as error:
    assert error.body["error"]["type"] == "overloaded_error"
assert ask_anthropic("anthropic_count.json").messages.count_tokens(model="m", messages=MESSAGES).input_tokens == 7
try:
    ask_anthropic("anthropic_error.json", 529).messages.create(model="m", max_tokens=9, messages=MESSAGES)
    raise SystemExit("no error")
except anthropic.APIStatusError as error:
    assert error.body["error"]["type"] == "overloaded_error"


def sent(name):
    return json.loads((HERE / "sent" / name).read_text())


def fits(kind, value):
    """TypedDicts, whose lists are only looked at when they are written out."""
    assert value.keys() <= kind.__required_keys__ | kind.__optional_keys__, value.keys()
    adapter = pydantic.TypeAdapter(kind)
    adapter.dump_json(adapter.validate_python(value))


fits(openai.types.chat.completion_create_params.CompletionCreateParamsNonStreaming, sent("openai.json"))
body = sent("anthropic.json")
# They are no longer among the types, but still part of the API for models that take them.
for name in ["temperature", "top_p"]:
    body.pop(name)
fits(anthropic.types.message_create_params.MessageCreateParamsNonStreaming, body)
body = sent("google.json")
for content in body.pop("contents"):
    google.Content.model_validate(content)
google.Content.model_validate(body.pop("systemInstruction"))
for tool in body.pop("tools"):
    google.Tool.model_validate(tool)
google.ToolConfig.model_validate(body.pop("toolConfig"))
google.GenerationConfig.model_validate(body.pop("generationConfig"))
assert body == {}
print("all understood")

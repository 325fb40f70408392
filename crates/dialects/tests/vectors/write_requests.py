"""Writes requests/*.json: the bodies that the published clients send for the questions below."""

import json
import pathlib

import anthropic
import httpx2
import openai
import pydantic

FOLDER = pathlib.Path(__file__).parent / "requests"
FOLDER.mkdir(exist_ok=True)


class Sent(Exception):
    pass


def client_for(name):
    def handle(request):
        body = json.loads(request.content)
        text = json.dumps(body, indent=2, ensure_ascii=False)
        (FOLDER / name).write_text(text + "\n")
        raise Sent

    return httpx2.Client(transport=httpx2.MockTransport(handle))


def write(name, make, ask):
    client = make(api_key="none", max_retries=0, http_client=client_for(name))
    try:
        ask(client)
    except (Sent, anthropic.APIConnectionError):
        return
    raise SystemExit(f"{name} was not sent")


SCHEMA = {
    "type": "object",
    "properties": {"at": {"type": "integer"}},
    "required": ["at"],
    "additionalProperties": False,
}
PICTURE = "data:image/png;base64,iVBORw0KGgo="

write(
    "openai_chat.json",
    openai.OpenAI,
    lambda client: client.chat.completions.create(
        model="m",
        messages=[
            {"role": "developer", "content": "Be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is there?"},
                    {"type": "image_url", "image_url": {"url": PICTURE}},
                ],
            },
            {
                "role": "assistant",
                "content": "Let me look.",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "look", "arguments": '{"at":1}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "A cat"},
        ],
        tools=[
            {
                "type": "function",
                "function": {
                    "name": "look",
                    "description": "Looks at a place.",
                    "parameters": SCHEMA,
                    "strict": True,
                },
            }
        ],
        tool_choice={"type": "function", "function": {"name": "look"}},
        parallel_tool_calls=False,
        response_format={"type": "json_object"},
        temperature=0.5,
        top_p=0.75,
        frequency_penalty=0.25,
        presence_penalty=-0.25,
        max_completion_tokens=64,
        stop="END",
        seed=7,
        n=2,
        logprobs=True,
        top_logprobs=2,
        stream=True,
        stream_options={"include_usage": True},
        store=False,
        user="somebody",
    ),
)


class Place(pydantic.BaseModel):
    at: int


write(
    "openai_parse.json",
    openai.OpenAI,
    lambda client: client.chat.completions.parse(
        model="m",
        messages=[{"role": "user", "content": "Where?"}],
        response_format=Place,
    ),
)
write(
    "openai_completion.json",
    openai.OpenAI,
    lambda client: client.completions.create(
        model="m", prompt=["Once", "Twice"], max_tokens=5, logprobs=1, echo=False
    ),
)
write(
    "openai_embeddings.json",
    openai.OpenAI,
    lambda client: client.embeddings.create(model="m", input=["a", "b"]),
)
write(
    "openai_responses.json",
    openai.OpenAI,
    lambda client: client.responses.create(
        model="m",
        instructions="Be brief",
        input=[
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is there?"},
                    {"type": "input_image", "image_url": PICTURE, "detail": "auto"},
                ],
            },
            {
                "type": "message",
                "id": "msg_0",
                "role": "assistant",
                "status": "completed",
                "content": [
                    {"type": "output_text", "text": "Let me look.", "annotations": []}
                ],
            },
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "call_1",
                "name": "look",
                "arguments": '{"at":1}',
                "status": "completed",
            },
            {"type": "function_call_output", "call_id": "call_1", "output": "A cat"},
        ],
        tools=[
            {
                "type": "function",
                "name": "look",
                "description": "Looks at a place.",
                "parameters": SCHEMA,
                "strict": True,
            }
        ],
        temperature=0.5,
        top_p=0.75,
        max_output_tokens=64,
        include=["message.output_text.logprobs"],
        top_logprobs=2,
        store=False,
        stream=True,
    ),
)

MESSAGES = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is there?"},
            {
                "type": "image",
                "source": {
                    "type": "base64",
                    "media_type": "image/png",
                    "data": PICTURE.split(",")[1],
                },
            },
        ],
    },
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "call_1", "name": "look", "input": {"at": 1}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": "A cat"}
        ],
    },
]
TOOLS = [
    {
        "name": "look",
        "description": "Looks at a place.",
        "input_schema": SCHEMA,
        "strict": True,
    }
]
write(
    "anthropic_messages.json",
    anthropic.Anthropic,
    lambda client: client.messages.create(
        model="m",
        max_tokens=64,
        system="Be brief",
        messages=MESSAGES,
        tools=TOOLS,
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        stop_sequences=["END"],
        metadata={"user_id": "somebody"},
        stream=True,
    ),
)
write(
    "anthropic_count.json",
    anthropic.Anthropic,
    lambda client: client.messages.count_tokens(
        model="m", system="Be brief", messages=MESSAGES, tools=TOOLS
    ),
)

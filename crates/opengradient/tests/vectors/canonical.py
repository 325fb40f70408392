"""Writes what the published client and CPython make of odd requests and odd JSON."""

import json
import pathlib
import random
import struct

from opengradient.client.tee_verify import build_inner_request, canonical_request_bytes

HERE = pathlib.Path(__file__).parent

NUMBERS = """0 -0 -1 10 00012345678901234567890123456789 9007199254740993 -9223372036854775809 18446744073709551616
0.0 -0.0 1.0 0.1 0.30000000000000004 1e5 1E5 1e+5 1e-5 0.0001 0.00001 0.00012345 1e15 1e16 123456789012345678.0 1e22 1e21
9999999999999998.0 9999999999999999.0 1.5e300 5e-324 2.2250738585072014e-308 1.7976931348623157e308 1e-7 12345678.9e-10
-1.5e-9 1e00 0e5 0.5e1""".split()
TEXTS = [
    '"\\u0000\\u001f\\u007f\\u0080\\u00e9\\u2028\\ud83d\\ude00\\uffff"',
    '"/ \\/ \\b\\f\\n\\r\\t \\" \\\\"',
    '"é 😀 \u007f \u2029"',
    '{"b": 1, "a": 2, "é": 3, "z": 4, "😀": 5, "\ufb01": 6, "B": 7, "": 8}',
    '{"a": 1, "b": 2, "a": 3}',
    '{"a": {"x": 1, "x": {}}, "a": []}',
    ' [ ] ', '[{}, [], [[]], {"a": {}}]', 'null', '[true,false,null]',
    '[1 ,2\t,\r\n3]', '""', '[1.0,1,"1"]',
]
MESSAGES = [
    {"role": "user", "content": "hi", "name": "dropped"},
    {"role": "user", "content": None}, {"role": "user"}, {"role": "user", "content": 5},
    {"role": "user", "content": 1e22}, {"role": "user", "content": True}, {"role": "user", "content": ""},
    {"role": "user", "content": []},
    {"role": "user", "content": ["loose", None, 7, False, 0.1]},
    {"role": "user", "content": [{"type": "text"}, {"type": "text", "text": None}, {"type": "text", "text": "a", "x": 1}]},
    {"role": "user", "content": [{"type": "text", "text": 0}, {"type": "text", "text": 5}, {"text": "no type"}]},
    {"role": "user", "content": [{"type": "file", "filename": "b", "file": {"filename": ""}}]},
    {"role": "user", "content": [{"type": "file", "file": "not an object", "filename": "c"}, {"type": 3, "filename": 4}]},
    {"role": "system", "content": [{"type": "text", "text": "kept as it is", "x": 1e5}]},
    {"role": "developer", "content": "d"}, {"role": "system"},
    {"role": "assistant"}, {"role": "assistant", "content": 0}, {"role": "assistant", "content": ["x"], "refusal": None},
    {"role": "assistant", "content": None, "tool_calls": []},
    {"role": "assistant", "tool_calls": [{}, {"id": None, "type": None}, {"id": 5, "function": {"name": None, "x": 1}}]},
    {"role": "assistant", "tool_calls": [{"id": "c", "function": {"arguments": "{}", "name": "f"}, "extra": 1}]},
    {"role": "tool", "content": "r"}, {"role": "tool", "content": ["r"], "tool_call_id": "c", "name": "dropped"},
    {"role": "function", "content": "r", "name": "f"}, {"role": "function"},
]
REFUSED = [
    {"role": "user", "content": {"a": 1}, "only_ours": True}, {"role": "user", "content": [[1]], "only_ours": True},
    {"role": "nobody", "content": "x"}, {"content": "x"}, {"role": None}, {"role": 5},
    {"role": "assistant", "tool_calls": {"a": 1}}, {"role": "assistant", "tool_calls": "x"},
    {"role": "assistant", "tool_calls": [1]}, {"role": "assistant", "tool_calls": [{"function": None}]},
]
FIELDS = [
    {"temperature": 1}, {"temperature": None}, {"temperature": 10**20}, {"temperature": 9007199254740993},
    {"temperature": 0.1}, {"temperature": -0.0}, {"max_tokens": 0}, {"max_tokens": None}, {"max_tokens": 7.0},
    {"stop": ""}, {"stop": []}, {"stop": "x"}, {"stop": [""]}, {"stop": None}, {"tools": []}, {"tools": None},
    {"tools": [{"z": 1, "a": {"y": [1e-7, 10**30]}}]}, {"tools": False}, {"response_format": {}},
    {"response_format": "json"}, {"response_format": {"type": "json_object"}}, {"web_search": 1}, {"web_search": "yes"},
    {"web_search": 0}, {"web_search": {}}, {"top_p": 0.5, "seed": 1, "user": "u", "n": 2, "stream": True},
]
BODIES_REFUSED = [
    {"messages": [{"role": "user", "content": "x"}]}, {"model": "", "messages": [{"role": "user", "content": "x"}]},
    {"model": 5, "messages": [{"role": "user", "content": "x"}]}, {"model": "m"}, {"model": "m", "messages": []},
    {"model": "m", "messages": {}}, {"model": "m", "messages": ["x"]}, [], "x", None,
    {"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": {"a": 1}},
    {"model": "m", "messages": [{"role": "user", "content": "x"}], "temperature": "warm"},
    {"model": "m", "messages": [{"role": "user", "content": "x"}], "temperature": []},
]


def canonical(body):
    try:
        return canonical_request_bytes(build_inner_request(body)[1]).decode()
    except Exception:
        return None


def requests():
    plain = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    bodies = [{"model": "m", "messages": [message]} for message in MESSAGES + REFUSED]
    bodies += [plain | field for field in FIELDS]
    bodies += [{"model": "p/é", "messages": MESSAGES, **FIELDS[16], **FIELDS[4]}] + BODIES_REFUSED
    for body in bodies:
        # Python writes these two in a syntax of its own: we refuse where the published client does not.
        ours = isinstance(body, dict) and any("only_ours" in m for m in body.get("messages", []) if isinstance(m, dict))
        yield {"body": json.dumps(body, ensure_ascii=False), "canonical": None if ours else canonical(body)}


def floats(count):
    chance = random.Random(1)
    for _ in range(count):
        value = struct.unpack("<d", chance.randbytes(8))[0]
        if value == value and abs(value) != float("inf"):
            yield repr(value)
        yield repr(chance.uniform(-1, 1) * 10.0 ** chance.randint(-8, 25))
        # Halfway between two candidates for the last digit.
        yield repr(chance.randrange(2**49, 2**53) / 4)


def texts():
    for text in NUMBERS + TEXTS + list(floats(400)):
        try:
            yield [text, json.dumps(json.loads(text), sort_keys=True)]
        except ValueError:
            yield [text, None]


def write(name, rows):
    lines = ",\n".join(json.dumps(row) for row in rows)
    (HERE / name).write_text(f"[\n{lines}\n]\n")


write("canonical-sdk-1.1.4.json", requests())
write("json-cpython.json", texts())

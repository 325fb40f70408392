"""Where the gateway is, what the model is asked, and how its proofs are judged."""

import os
import subprocess
import time
import urllib.request

import pytest

MODEL = "story"
# The same with a chat template that has calls of tools.
TOOLS_MODEL = "story-with-tools"
GATEWAY_URL = os.environ["GATEWAY_URL"]
RELAY_URL = os.environ["RELAY_URL"]
RPC_URL = os.environ["RPC_URL"]
# Where every network has the registry of gateways.
TEE_REGISTRY = "0x0000000000000000000000000000000000000a03"
# A base URL of OpenAI's clients ends with the version.
OPENAI_URL = f"{GATEWAY_URL}/v1"
# Clients want a key; a devnet asks for none.
API_KEY = "none-needed"
QUESTION = [{"role": "user", "content": "Tell me about a frog."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "How the weather is in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Paris", "Zürich"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
RECEIPT_TIMEOUT_S = 20


@pytest.fixture
def verified(tmp_path):
    """Fetches the receipt that an answer names, when it is final, and lets `og verify` judge it; gives what that says."""

    def verified(og_receipt):
        file = tmp_path / "answer.receipt"
        file.write_bytes(fetch_receipt(og_receipt["receipt_url"]))
        command = [os.environ["OG"], "verify", file, "--genesis", os.environ["GENESIS"]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return verified


def fetch_receipt(path):
    """The receipt's file; 202 says that it is not final yet."""
    deadline = time.monotonic() + RECEIPT_TIMEOUT_S
    while time.monotonic() < deadline:
        with urllib.request.urlopen(GATEWAY_URL + path, timeout=10) as response:
            if response.status == 200:
                return response.read()
        time.sleep(0.05)
    pytest.fail(f"{path} is not final after {RECEIPT_TIMEOUT_S} s")

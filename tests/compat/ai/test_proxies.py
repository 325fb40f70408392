"""OpenGradient's local proxies, `og-veil` and `og-local`: started as commands, asked by OpenAI's client, they seal, send and verify."""

import importlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import API_KEY, MODEL, QUESTION, RELAY_URL, RPC_URL, TEE_REGISTRY
from openai import APIStatusError, OpenAI
from opengradient.client.tee_registry import TEERegistry
from web3 import Web3

START_TIMEOUT_S = 120
# What signing in at OpenGradient's chat gives, with our network's addresses. Our relay wants no account.
SESSION = {
    "type": "opengradient-cli-auth",
    "access_token": "none-needed",
    "user": {"email": "somebody@example.org"},
    "config": {
        "supabase_url": "http://127.0.0.1:1",
        "supabase_anon_key": "none-needed",
        "chat_api_base_url": RELAY_URL,
        "tee_registry_rpc_url": RPC_URL,
        "tee_registry_address": TEE_REGISTRY,
        "tee_registry_tee_type": 0,
    },
}


class Proxy:
    """One of the commands, with a home and a port of its own."""

    def __init__(self, name, home):
        self.package = {"veil": "veil", "local": "og_local"}[name]
        self.program = Path(sys.executable).with_name(f"og-{name}")
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        prefix = f"OG_{name.upper()}"
        self.environment = os.environ | {f"{prefix}_HOME": str(home), f"{prefix}_PORT": str(self.port)}

    def run(self, *words, **settings):
        command = [self.program, *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, check=False, **settings)

    def serve(self, *words):
        command = [self.program, "serve", "--foreground", *words]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def part(self, module):
        """A module of the package, to spare another process."""
        return importlib.import_module(f"{self.package}.{module}")

    def refusal(self, **pins):
        """Why a proxy that is told this uses no gateway."""
        config = self.part("config").ServerConfig(**pins)
        gateway = self.part("gateway")
        with pytest.raises(gateway.GatewayError) as refused:
            gateway.Gateway(self.part("session").Session(SESSION), config).chat({"model": MODEL, "messages": QUESTION})
        return str(refused.value)


@pytest.fixture(scope="module", params=["veil", "local"])
def proxy(request, tmp_path_factory):
    """A proxy that is signed in and serves."""
    proxy = Proxy(request.param, tmp_path_factory.mktemp(request.param))
    login = proxy.run("login", "--manual", input=json.dumps(SESSION))
    assert login.returncode == 0, login.stderr
    server = proxy.serve("--expected-pcr", Web3.keccak(text="OpenGradient: simulated evidence, nothing was measured").hex())
    try:
        wait_for_port(server, proxy.port)
        yield proxy
    finally:
        server.terminate()
        server.wait(10)


def wait_for_port(server, port):
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            pytest.fail(server.stdout.read())
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"nobody listens on port {port} after {START_TIMEOUT_S} s")


@pytest.fixture
def client(proxy):
    with OpenAI(base_url=f"http://127.0.0.1:{proxy.port}/v1", api_key=API_KEY, max_retries=0) as client:
        yield client


def test_a_conversation_is_verified(client):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=QUESTION, max_tokens=30)
    answer = raw.parse()
    assert answer.choices[0].message.content
    assert raw.headers["x-opengradient-verified"] == "true"
    assert answer.opengradient_verification["verified"] is True
    [tee] = TEERegistry(RPC_URL, TEE_REGISTRY).get_active_tees_by_type(0)
    assert answer.opengradient_verification["tee_id"] == raw.headers["x-opengradient-tee-id"] == f"0x{tee.tee_id}"


def test_a_stream_is_verified_and_says_the_same(client):
    wanted = {"model": MODEL, "messages": QUESTION, "max_tokens": 30}
    whole = client.chat.completions.create(**wanted)
    frames = list(client.chat.completions.create(**wanted, stream=True))
    text = "".join(frame.choices[0].delta.content or "" for frame in frames if frame.choices)
    assert text == whole.choices[0].message.content
    assert len(frames) > 5


def test_what_the_gateway_refuses_has_its_status(client):
    with pytest.raises(APIStatusError, match="no-such-model") as refused:
        client.chat.completions.create(model="no-such-model", messages=QUESTION)
    assert refused.value.status_code == 404


def test_a_receipt_is_beside_the_answer(client, verified):
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=5)
    assert "The receipt verifies." in verified(answer.og_receipt)


def test_its_own_commands(proxy):
    status = proxy.run("status")
    assert RELAY_URL in status.stdout and TEE_REGISTRY in status.stdout, status.stdout + status.stderr
    if "veil" in proxy.program.name:
        said = proxy.run("test", "Tell me about a frog.", "--model", MODEL)
        assert "verified" in said.stdout, said.stdout + said.stderr


def test_a_gateway_of_other_measurements_is_not_used(proxy):
    assert "no registry gateway matches" in proxy.refusal(expected_pcr_hash="0x" + "11" * 32)


def test_a_gateway_cannot_be_chosen_by_its_id(proxy):
    """The proxies put `0x` before the id that they are told and compare it with one that has none: a bug of these versions."""
    [tee] = TEERegistry(RPC_URL, TEE_REGISTRY).get_active_tees_by_type(0)
    assert "not found among active gateways" in proxy.refusal(pinned_tee_id=f"0x{tee.tee_id}")

"""The network under test: a devnet of og, or anvil to test the tests."""

import json
import random
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from harness.install import BUILD, ROOT
from harness.upstream import Upstream

CHAIN_ID = 770077
# Where nodes of a devnet listen, above its base port: docs/operating.md.
DEVNET_PORTS = [offset + node for offset in (0, 100, 400) for node in range(4)] + [200, 250, 260, 300, 600, 660, 700]
START_TIMEOUT_S = 120
# The gateway looks for new models every 10 s.
MODEL_TIMEOUT_S = 30
MULTICALL = "0xcA11bde05977b3631167028862bE2a173976CA11"
MODEL = "story"
# A model of another service, which is `upstream.py`, beside the network.
EMBEDDING_MODEL = "vectors"
# The language model, converted to embed texts.
EXACT_EMBEDDING_MODEL = "words"
# The same weights with a chat template that has calls of tools.
TOOLS_MODEL = "story-with-tools"
MODELS = ROOT.parent.parent / "models"
# Of each line of a log this much is shown.
LINE_LENGTH = 300


class Network:
    """A network that runs while the `with` block lasts."""

    rpc_url: str
    private_keys: list
    chain_id = CHAIN_ID
    seconds_to_start = 0.0

    def __enter__(self):
        started = time.monotonic()
        self.start()
        self.seconds_to_start = time.monotonic() - started
        return self

    def __exit__(self, *_):
        self.stop()

    def environment(self, private_key):
        """What a client's tests read."""
        return {
            "RPC_URL": self.rpc_url,
            "WS_URL": self.rpc_url.replace("http://", "ws://"),
            "CHAIN_ID": str(self.chain_id),
            "PRIVATE_KEY": private_key,
        }

    def wait_for_model(self):
        """Waits until the gateway offers the model."""

    def last_words(self):
        """The end of the log, for failures."""
        return ""


class Devnet(Network):
    """`og devnet` in a folder of its own, with the language model among its models."""

    def __init__(self, og, folder):
        self.og, self.folder = og.resolve(), folder

    def start(self):
        base_port = free_ports(DEVNET_PORTS)
        self.run_og("devnet", "--detach", "--dir", self.folder, "--base-port", base_port)
        endpoints = json.loads((self.folder / "endpoints.json").read_text())
        keys = ("chain_id", "rpc", "gateway", "relay")
        self.chain_id, self.rpc_url, self.gateway_url, self.relay_url = (endpoints[key] for key in keys)
        self.private_keys = [one["private_key"] for one in json.loads((self.folder / "accounts.json").read_text())]
        self.run_og("model", "add", "--dir", self.folder, "--name", MODEL, MODELS / MODEL / f"{MODEL}.og")
        self.upstream = Upstream()
        relay = self.folder / "vectors.relay"
        relay.write_text(f'[relay]\ntask = "embeddings"\nurl = "{self.upstream.url}"\nmodel = "m"\n')
        self.run_og("model", "add", "--dir", self.folder, "--name", EMBEDDING_MODEL, relay)
        self.add_model_with_tools()
        program = self.folder / f"{EXACT_EMBEDDING_MODEL}.og"
        self.run_og("model", "build", MODELS / MODEL / "float", "--embed", "mean", "--out", program)
        self.run_og("model", "add", "--dir", self.folder, "--name", EXACT_EMBEDDING_MODEL, program)

    def add_model_with_tools(self):
        """Converts the language model with a mark in its chat template by which templates of others name the form of their calls: a model that
        was not trained on calls is held to that form where one is required."""
        folder, program = self.folder / TOOLS_MODEL, self.folder / f"{TOOLS_MODEL}.og"
        shutil.copytree(MODELS / MODEL / "float", folder)
        path = folder / "tokenizer_config.json"
        config = json.loads(path.read_text())
        config["chat_template"] = "{# <tool_call> #}" + config["chat_template"]
        path.write_text(json.dumps(config))
        text = folder / "text.jsonl"
        text.write_text("".join((MODELS / MODEL / "held_out.jsonl").read_text().splitlines(keepends=True)[:20]))
        self.run_og("model", "build", folder, "--data", text, "--out", program)
        self.run_og("model", "add", "--dir", self.folder, "--name", TOOLS_MODEL, program)

    def stop(self):
        self.upstream.stop()
        self.run_og("devnet", "stop", "--dir", self.folder)

    def environment(self, private_key):
        """What tests of the gateway read, too: where it and its relay are, and what judges its receipts."""
        genesis = str(self.folder / "genesis.json")
        of_gateway = {"GATEWAY_URL": self.gateway_url, "RELAY_URL": self.relay_url, "OG": str(self.og), "GENESIS": genesis}
        return super().environment(private_key) | of_gateway

    def wait_for_model(self):
        deadline = time.monotonic() + MODEL_TIMEOUT_S
        wanted = {MODEL, TOOLS_MODEL, EMBEDDING_MODEL, EXACT_EMBEDDING_MODEL}
        while not wanted <= set(offered_models(self.gateway_url)):
            if time.monotonic() > deadline:
                sys.exit(f"the gateway does not offer the models {wanted} after {MODEL_TIMEOUT_S} s")
            time.sleep(0.2)

    def run_og(self, *words):
        command = [str(word) for word in (self.og, *words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_TIMEOUT_S, check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")

    def last_words(self):
        lines = (self.folder / "logs" / "validator-0.log").read_text(errors="replace").splitlines()
        return "\n".join(["the end of validator 0's log:", *(line[:LINE_LENGTH] for line in lines[-20:])])


class Anvil(Network):
    """anvil with blocks about as often as ours, and with the contract that every devnet has."""

    def start(self):
        port = free_ports([0])
        [program] = (ROOT / "reference" / "node_modules" / "@foundry-rs").glob("anvil-*/bin/anvil")
        accounts = BUILD / "anvil.json"
        accounts.unlink(missing_ok=True)
        options = ["--steps-tracing", "--slots-in-an-epoch", "1", "--block-time", "0.05", "--config-out", accounts]
        command = [program, "--port", port, "--chain-id", CHAIN_ID, *options]
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
        self.rpc_url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START_TIMEOUT_S
        while ask(self.rpc_url, "eth_chainId", []) is None:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                sys.exit("anvil does not start")
            time.sleep(0.1)
        self.private_keys = json.loads(accounts.read_text())["private_keys"]
        artifact = json.loads((ROOT.parent.parent / "contracts" / "artifacts" / "Multicall3.json").read_text())
        code = ask(self.rpc_url, "eth_call", [{"data": artifact["creationBytecode"]}, "latest"])
        ask(self.rpc_url, "anvil_setCode", [MULTICALL, code])

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def environment(self, private_key):
        return super().environment(private_key) | {"REFERENCE": "anvil"}


def free_ports(offsets):
    """A base port such that all ports at these offsets are free."""
    for _ in range(100):
        base = random.randrange(20_000, 30_000)
        if all(is_free(base + offset) for offset in offsets):
            return base
    sys.exit("there are no free ports between 20000 and 30700")


def is_free(port):
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def offered_models(gateway_url):
    """The names of the models that a gateway offers."""
    with urllib.request.urlopen(f"{gateway_url}/v1/models", timeout=10) as response:
        return [one["id"] for one in json.load(response)["data"]]


def ask(url, method, params):
    """The result of a JSON-RPC call, or None if nobody answers."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)["result"]
    except OSError:
        return None

"""The clients: how each one's tests are run, and what came of it."""

import os
import re
import subprocess
import time
from dataclasses import dataclass

from harness.install import NODE, NODE_FOLDER, ROOT, python

# A client that takes longer hangs.
TIMEOUT_S = 180
# Errors show whole requests: of each line this much is printed.
LINE_LENGTH = 300
NODE_TEST = [NODE, "--test", "--test-force-exit", "--test-timeout=300000", "--test-reporter=spec", "--test-concurrency=1"]

PYTEST = ["-m", "pytest"]

# Clients of the chain: name, folder, command. Each has the funded account of its place in this list.
CHAIN_CLIENTS = {
    # The slowest first.
    "hardhat": ("hardhat", [*NODE_TEST, "hardhat.test.mjs"]),
    "forge": ("js", [*NODE_TEST, "foundry/forge.test.mjs"]),
    "cast": ("js", [*NODE_TEST, "foundry/cast.test.mjs"]),
    "viem": ("js", [*NODE_TEST, "viem/*.test.mjs"]),
    "ethers": ("js", [*NODE_TEST, "ethers/*.test.mjs"]),
    "web3py": ("web3py", [python("web3py"), *PYTEST]),
    "metamask": ("js", [*NODE_TEST, "metamask/metamask.test.mjs"]),
}
# Clients of the gateway, which is free on a devnet.
GATEWAY_CLIENTS = {
    "opengradient": ("ai", [python("ai"), *PYTEST, "test_opengradient.py", "test_opengradient_registry.py"]),
    "confidential": ("ai", [python("ai"), *PYTEST, "test_confidential.py"]),
    "og-veil": ("ai", [python("ai"), *PYTEST, "test_proxies.py", "-k", "veil"]),
    "og-local": ("ai", [python("ai"), *PYTEST, "test_proxies.py", "-k", "local"]),
    "openai": ("ai", [python("ai"), *PYTEST, "test_openai.py"]),
    "anthropic": ("ai", [python("ai"), *PYTEST, "test_anthropic.py"]),
    "langchain": ("ai", [python("ai"), *PYTEST, "test_langchain.py"]),
    "openai-js": ("ai-js", [*NODE_TEST, "openai.test.mjs"]),
    "ai-sdk": ("ai-js", [*NODE_TEST, "ai-sdk.test.mjs"]),
    "litellm": ("litellm", [python("litellm"), *PYTEST]),
}
CLIENTS = CHAIN_CLIENTS | GATEWAY_CLIENTS
# These take long to install, and run only if they are named.
SLOW_CLIENTS = ["litellm"]


@dataclass
class Result:
    """What came of a client's tests."""

    is_ok: bool
    seconds: float
    summary: str
    output: str


def run_client(name, environment):
    """Runs a client's tests with what `environment` says of the network."""
    folder, command = CLIENTS[name]
    environment = os.environ | environment | {"PATH": f"{NODE_FOLDER}:{os.environ['PATH']}"}
    environment.pop("NODE_OPTIONS", None)
    started = time.monotonic()
    try:
        done = subprocess.run(
            [str(word) for word in command],
            cwd=ROOT / folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        is_ok, output = done.returncode == 0, done.stdout
    except subprocess.TimeoutExpired as expired:
        is_ok, output = False, f"{(expired.stdout or b'').decode()}\nno end after {TIMEOUT_S} s"
    return Result(is_ok, time.monotonic() - started, summary(output), readable(output))


def readable(output):
    """Of all that was printed, the failures, without the payloads in them."""
    failures = output[max(output.find("✖ failing tests:"), 0) :]
    lines = [line[:LINE_LENGTH] for line in failures.splitlines() if not line.lstrip().startswith("at ")]
    return "\n".join(lines)


def summary(output):
    """How many tests passed and failed, of pytest or of Node's runner."""
    pytest = re.search(r"^(\d+ (?:passed|failed).*?)(?: in .*)?$", output, re.MULTILINE)
    if pytest:
        return pytest[1]
    counts = dict(re.findall(r"^ℹ (pass|fail|skipped) (\d+)$", output, re.MULTILINE))
    return ", ".join(f"{counts.get(key, 0)} {word}" for key, word in (("pass", "passed"), ("fail", "failed"), ("skipped", "skipped")))

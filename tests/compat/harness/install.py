"""Installs the pinned packages into folders that git ignores; again only when a lock file has changed."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
PYTHON = BUILD / "venv" / "bin" / "python"
NODE_FOLDER = ROOT / "node" / "node_modules" / f"node-linux-{'arm64' if platform.machine() == 'aarch64' else 'x64'}" / "bin"
NODE = NODE_FOLDER / "node"


def install(reference):
    """Installs everything; `reference` says whether anvil is wanted as well."""
    BUILD.mkdir(exist_ok=True)
    with ThreadPoolExecutor() as pool:
        python = pool.submit(install_python)
        # The others install with this Node: hardhat's native parts are left out under an older one.
        install_npm("node")
        folders = ["js", "hardhat"] + (["reference"] if reference else [])
        for done in [pool.submit(install_npm, folder) for folder in folders] + [python]:
            done.result()


def compile_sample():
    """Compiles contracts/Sample.sol to build/Sample.json."""
    run([NODE, "compile.mjs"], ROOT / "js")


def install_npm(folder):
    path = ROOT / folder

    def fresh():
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], path)

    once(folder, path / "package-lock.json", path / "node_modules", fresh)


def install_python():
    requirements = ROOT / "web3py" / "requirements.txt"

    def fresh():
        shutil.rmtree(BUILD / "venv", ignore_errors=True)
        run([sys.executable, "-m", "venv", BUILD / "venv"], ROOT)
        run([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", requirements], ROOT)

    once("web3py", requirements, BUILD / "venv", fresh)


def once(name, lock, result, fresh):
    """Calls `fresh` unless it was done for this very lock file and its result is there."""
    mark = BUILD / f"installed-{name}"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if result.is_dir() and mark.is_file() and mark.read_text() == wanted:
        return
    mark.unlink(missing_ok=True)
    fresh()
    mark.write_text(wanted)


def run(command, folder):
    environment = os.environ | {"PATH": f"{NODE_FOLDER}:{os.environ['PATH']}"}
    done = subprocess.run([str(word) for word in command], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"in {folder}: {' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")

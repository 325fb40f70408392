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
NODE_FOLDER = ROOT / "node" / "node_modules" / f"node-linux-{'arm64' if platform.machine() == 'aarch64' else 'x64'}" / "bin"
NODE = NODE_FOLDER / "node"


def python(folder):
    """The Python that has what this folder's requirements name."""
    return BUILD / f"venv-{folder}" / "bin" / "python"


def install(python_folders, npm_folders):
    """Installs what these folders' lock files name."""
    BUILD.mkdir(exist_ok=True)
    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(install_python, folder) for folder in python_folders]
        # The others install with this Node: hardhat's native parts are left out under an older one.
        install_npm("node")
        for done in jobs + [pool.submit(install_npm, folder) for folder in npm_folders]:
            done.result()


def compile_sample():
    """Compiles contracts/Sample.sol to build/Sample.json."""
    run([NODE, "compile.mjs"], ROOT / "js")


def install_npm(folder):
    path = ROOT / folder

    def fresh():
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], path)

    once(folder, path / "package-lock.json", path / "node_modules", fresh)


def install_python(folder):
    requirements = ROOT / folder / "requirements.txt"
    environment = BUILD / f"venv-{folder}"
    options = ["--quiet", "--disable-pip-version-check", "--no-compile", "--requirement", requirements]

    def fresh():
        shutil.rmtree(environment, ignore_errors=True)
        run([sys.executable, "-m", "venv", environment], ROOT)
        run([python(folder), "-m", "pip", "install", *options], ROOT)

    once(folder, requirements, environment, fresh)


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

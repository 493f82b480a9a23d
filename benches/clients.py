"""The programs that the benchmarks compare, each as its users start it."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import measure
import models

ROOT = Path(__file__).resolve().parent.parent
SPEECH_FLOW = ROOT / "target" / "release" / "speech-flow"
# The command of huggingface_hub, beside the Python that runs this.
HF = Path(sys.executable).with_name("hf")


@dataclass
class Client:
    name: str
    verifies: str
    # (hub, repository, target folder) → (command, variables)
    prepare: Callable
    # What the command's program is called in the report.
    shown: str
    program: Path | str


def curl(hub, repository, target):
    return ["curl", "-sS", "-o", target / "model.safetensors", hub.file_url(repository, "model.safetensors")], {}


def aria2c(hub, repository, target):
    digest = repository.files["model.safetensors"]["sha256"]
    options = ["-q", "-x8", "-s8", "-d", target, "-o", "model.safetensors", f"--checksum=sha-256={digest}"]
    return ["aria2c", "--no-conf", *options, hub.file_url(repository, "model.safetensors")], {}


def hf(hub, repository, target):
    variables = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
    return [HF, "download", repository.name, "--cache-dir", target / "cache", "--quiet"], variables


def speech_flow(hub, repository, target):
    variables = {"HF_ENDPOINT": hub.url, "MODEL_CACHE_DIR": str(target / "cache")}
    return [SPEECH_FLOW, "preload", repository.name, *EVERY_FILE, "--json"], variables


# The benchmark repositories hold files that a worker would not load; they are part of what is measured.
EVERY_FILE = ["--include", "*"]

CLIENTS = [
    Client("curl", "nothing but the length", curl, "curl", "curl"),
    Client("aria2c", "SHA-256, in a second read", aria2c, "aria2c", "aria2c"),
    Client("hf", "nothing but the length", hf, "hf", HF),
    Client("speech-flow", "SHA-256 and git hashes, while the bytes arrive; then the format", speech_flow, "speech-flow", SPEECH_FLOW),
]


def chosen(names, able):
    """The clients of `able` that are asked for (all, where `names` is empty); each must be there."""
    wanted = names.split(",") if names else able
    found = [client for client in CLIENTS if client.name in able and client.name in wanted]
    for client in found:
        if not shutil.which(str(client.program)):
            raise SystemExit(f"bench: `{client.program}` is not there; `make bench` installs and builds all")
    return found


def environment(variables, home):
    """Only what is named: no setting of the user's takes part."""
    keep = {name: os.environ[name] for name in ["PATH", "LANG", "LD_LIBRARY_PATH"] if name in os.environ}
    return keep | {"HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"} | variables


def check(client, repository, target, read):
    """Whether `target` holds the repository's bytes; with `read`, by their hash."""
    missing = dict(repository.files) if client.name in ("hf", "speech-flow") else {"model.safetensors": repository.files["model.safetensors"]}
    for path in target.rglob("*"):
        if path.is_file() and "blobs" not in path.parts:
            name = next((name for name in missing if path.as_posix().endswith("/" + name)), None)
            if name is None:
                continue
            entry = missing.pop(name)
            if path.stat().st_size != entry["size"] or (read and models.digests(path)["sha256"] != entry["sha256"]):
                raise RuntimeError(f"{client.name} left a wrong `{name}`")
    if missing:
        raise RuntimeError(f"{client.name} left out {len(missing)} files, such as `{next(iter(missing))}`")


def readable(command, shown, hub, target):
    """The command as a reader would type it."""
    words = [shown, *(str(word) for word in command[1:])]
    return " ".join(word.replace(hub.url, "$HUB").replace(str(target), "$TARGET") for word in words)


def versions():
    return {
        "curl": measure.version(["curl", "--version"]),
        "aria2c": measure.version(["aria2c", "--version"]),
        "hf": measure.version([sys.executable, "-c", "import huggingface_hub as h; print(h.__version__)"]),
        "nginx": measure.version([shutil.which("nginx") or "/usr/sbin/nginx", "-v"]),
        "speech-flow": measure.version([SPEECH_FLOW, "--version"]),
        "python": sys.version.split()[0],
    }

"""What every script here shares: a clean environment, no surprise on the network, one line of JSON.

Import this before any other client library: they read their variables when they are imported.
"""

import argparse
import hashlib
import json
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

# Keep away from the user's tokens, caches and settings, and from calls to other hosts.
os.environ.setdefault("HF_HOME", tempfile.mkdtemp(prefix="client-home-"))
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_UPDATE_CHECK"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"
os.environ["NO_COLOR"] = "1"


def arguments(description, *names, **options):
    """Positional `names`, then `--option` for each of `options` (a default, or a list for many values)."""
    parser = argparse.ArgumentParser(description=description)
    for name in names:
        parser.add_argument(name.rstrip("."), nargs="+" if name.endswith("...") else None)
    for name, default in options.items():
        many = {"action": "append"} if isinstance(default, list) else {}
        parser.add_argument("--" + name.replace("_", "-"), default=None if many else default, **many)
    return parser.parse_args()


def go_offline():
    """Ask for offline mode, and make any connection an error that names its target."""
    os.environ["HF_HUB_OFFLINE"] = "1"

    def refuse(_socket, address):
        raise AssertionError(f"an offline read tried to connect to {address}")

    socket.socket.connect = refuse
    socket.socket.connect_ex = refuse


def use_endpoint(url):
    """Talk to this hub only; without Xet unless the caller has set it, as with `HF_HUB_DISABLE_XET=0`."""
    if url:
        os.environ["HF_ENDPOINT"] = url
    if not os.environ.get("HF_ENDPOINT"):
        raise SystemExit("give --endpoint or HF_ENDPOINT")
    os.environ.setdefault("HF_HUB_DISABLE_XET", "1")


def files_in(folder):
    """Relative path → size and SHA-256, through links, for each file under `folder`."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[path.relative_to(folder).as_posix()] = {"size": path.stat().st_size, "sha256": digest}
    return found


def run(work):
    """Print what `work` returns as one line of JSON; a failure is a line too, and exit code 1."""
    start = time.monotonic()
    try:
        answer = {"ok": True, **work()}
    except Exception as error:  # whatever a client raises is the answer of the script
        answer = {"ok": False, "error": type(error).__name__, "message": str(error)}
    answer["seconds"] = round(time.monotonic() - start, 3)
    print(json.dumps(answer, ensure_ascii=False))
    sys.exit(0 if answer["ok"] else 1)

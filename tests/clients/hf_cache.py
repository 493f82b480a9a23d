"""Runs the `hf cache` command.

hf_cache.py CACHE_DIR ls
hf_cache.py CACHE_DIR verify --repo REPO --revision REVISION --endpoint URL

`ls` fails when the client finds anything wrong in the cache; `verify` fails when a file differs, is
missing (with --complete 1) or is extra.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import client

args = client.arguments(
    __doc__, "cache_dir", "command", repo=None, revision=None, endpoint=None, token=None, complete="1"
)

# The command itself, installed beside this Python.
HF = Path(sys.executable).with_name("hf")


def hf(*words):
    return subprocess.run([HF, *words], capture_output=True, text=True, env=os.environ)


def ls():
    client.go_offline()
    listed = hf("cache", "ls", "--revisions", "--cache-dir", args.cache_dir, "--json")
    if listed.returncode != 0:
        raise RuntimeError(f"hf cache ls exited {listed.returncode}: {listed.stderr}")

    import huggingface_hub

    # The command hides these: a repository that the client cannot read just goes missing from its list.
    warnings = [str(warning) for warning in huggingface_hub.scan_cache_dir(args.cache_dir).warnings]
    if warnings:
        raise RuntimeError("; ".join(warnings))
    return {"revisions": json.loads(listed.stdout)}


def verify():
    client.use_endpoint(args.endpoint)
    strict = ["--fail-on-extra-files"]
    if args.complete == "1":
        strict.append("--fail-on-missing-files")
    token = ["--token", args.token] if args.token else []
    revision = ["--revision", args.revision] if args.revision else []
    done = hf("cache", "verify", args.repo, *revision, "--cache-dir", args.cache_dir, *strict, *token, "--json")
    if done.returncode != 0:
        raise RuntimeError(f"hf cache verify exited {done.returncode}: {done.stdout}{done.stderr}")
    return {"verified": json.loads(done.stdout)}


client.run({"ls": ls, "verify": verify}[args.command])

"""Reads a snapshot with huggingface_hub, offline: read_offline.py CACHE_DIR REPO REVISION [--allow PATTERN]..."""

import client

args = client.arguments(__doc__, "cache_dir", "repo", "revision", allow=[])
client.go_offline()

import huggingface_hub


def read():
    folder = huggingface_hub.snapshot_download(
        args.repo, revision=args.revision, cache_dir=args.cache_dir, allow_patterns=args.allow, local_files_only=True
    )
    return {"path": folder, "files": client.files_in(folder)}


client.run(read)

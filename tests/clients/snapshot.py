"""Downloads a snapshot with huggingface_hub: snapshot.py CACHE_DIR REPO REVISION --endpoint URL [--allow PATTERN]..."""

import client

args = client.arguments(__doc__, "cache_dir", "repo", "revision", endpoint=None, token=None, allow=[])
client.use_endpoint(args.endpoint)

import huggingface_hub


def download():
    folder = huggingface_hub.snapshot_download(
        args.repo,
        revision=args.revision,
        cache_dir=args.cache_dir,
        allow_patterns=args.allow,
        token=args.token or False,
    )
    return {"path": folder, "files": client.files_in(folder)}


client.run(download)

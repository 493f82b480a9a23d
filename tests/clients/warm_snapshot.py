"""What a warm start costs with huggingface_hub: warm_snapshot.py CACHE_DIR REPO@COMMIT...

Resolves each pinned model in a fresh process, as a worker does at its start. The benchmark measures the
wall time of the whole process.
"""

import time

start = time.monotonic()

import client

args = client.arguments(__doc__, "cache_dir", "models...")
client.use_endpoint(None)

import huggingface_hub

imported = time.monotonic()


def resolve():
    paths = []
    for model in args.models:
        repo, _, revision = model.partition("@")
        paths.append(huggingface_hub.snapshot_download(repo, revision=revision, cache_dir=args.cache_dir))
    return {
        "paths": paths,
        "import_seconds": round(imported - start, 4),
        "resolve_seconds": round(time.monotonic() - imported, 4),
    }


client.run(resolve)

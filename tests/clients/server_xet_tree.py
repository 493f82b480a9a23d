"""Downloads with a listing on disk that holds Xet hashes, as one from the hub does:
server_xet_tree.py CACHE_DIR REPO --endpoint URL"""

import json
import shutil
from pathlib import Path

import client

args = client.arguments(__doc__, "cache_dir", "repo", endpoint=None)
client.use_endpoint(args.endpoint)

import huggingface_hub
from huggingface_hub import _tree_cache


def download():
    def fetch():
        return huggingface_hub.snapshot_download(args.repo, cache_dir=args.cache_dir, token=False)

    fetch()
    repo = Path(args.cache_dir) / ("models--" + args.repo.replace("/", "--"))
    for tree in (repo / "trees").iterdir():
        listing = json.loads(tree.read_text())
        large = [entry for entry in listing["files"].values() if entry.get("lfs_sha256")]
        assert large, "the repository has a large file"
        for entry in large:
            entry["xet_hash"] = "ab" * 32
        tree.write_text(json.dumps(listing))
    shutil.rmtree(repo / "blobs")
    shutil.rmtree(repo / "snapshots")
    # What is on disk is what counts, as in a new process.
    _tree_cache._IN_MEMORY_TREE_CACHE.clear()
    try:
        fetch()
    except Exception as error:  # what the user sees is the answer
        return {"downloaded": False, "reason": f"{type(error).__name__}: {error} {error.__cause__ or ''}"}
    return {"downloaded": True}


client.run(download)

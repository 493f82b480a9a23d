"""Moves a file's content into the store that repositories share, by the client's own code for Xet downloads.

share_blob.py CACHE_DIR XET_HASH BLOB...

Each BLOB, `models--…/blobs/…` below CACHE_DIR, becomes a link into the store. The demo hub has no Xet, so no
download through it would do this.
"""

import os
from pathlib import Path

import client

args = client.arguments(__doc__, "cache_dir", "xet_hash", "blobs...")

from huggingface_hub.utils import _shared_blobs


def share():
    for blob in args.blobs:
        path = Path(args.cache_dir) / blob
        shared = _shared_blobs.publish_blob_to_shared_store(
            blob_path=str(path),
            xet_hash=args.xet_hash,
            cache_dir=args.cache_dir,
            expected_size=path.stat().st_size,
        )
        if not (shared and path.is_symlink()):
            raise RuntimeError(f"`{blob}` was not shared")
    return {"links": {blob: os.readlink(Path(args.cache_dir) / blob) for blob in args.blobs}}


client.run(share)

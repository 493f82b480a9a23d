"""Reads a model's configuration and feature extractor with transformers, offline.

transformers_read.py CACHE_DIR REPO REVISION
"""

import client

args = client.arguments(__doc__, "cache_dir", "repo", "revision")
client.go_offline()

from transformers import AutoConfig, AutoFeatureExtractor


def read():
    where = {"revision": args.revision, "cache_dir": args.cache_dir, "local_files_only": True}
    config = AutoConfig.from_pretrained(args.repo, **where)
    extractor = AutoFeatureExtractor.from_pretrained(args.repo, **where)
    return {
        "architectures": config.architectures,
        "model_type": config.model_type,
        "labels": len(config.id2label or {}),
        "feature_extractor": type(extractor).__name__,
        "sampling_rate": extractor.sampling_rate,
    }


client.run(read)

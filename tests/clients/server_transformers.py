"""Reads a model's configuration and feature extractor, online: server_transformers.py CACHE_DIR REPO --endpoint URL"""

import client

args = client.arguments(__doc__, "cache_dir", "repo", endpoint=None)
client.use_endpoint(args.endpoint)

import transformers


def read():
    config = transformers.AutoConfig.from_pretrained(args.repo, cache_dir=args.cache_dir)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(args.repo, cache_dir=args.cache_dir)
    return {"model_type": config.model_type, "sampling_rate": extractor.sampling_rate}


client.run(read)

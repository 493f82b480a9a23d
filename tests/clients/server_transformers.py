"""Reads a model with transformers, online, weights and all: server_transformers.py CACHE_DIR REPO --endpoint URL

Without torch, which `make parity` has, the weights are found by transformers and read with safetensors.
"""

import client

args = client.arguments(__doc__, "cache_dir", "repo", endpoint=None)
client.use_endpoint(args.endpoint)

import safetensors.numpy
import transformers
import transformers.utils


def read():
    config = transformers.AutoConfig.from_pretrained(args.repo, cache_dir=args.cache_dir)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(args.repo, cache_dir=args.cache_dir)
    weights = transformers.utils.cached_file(args.repo, transformers.utils.SAFE_WEIGHTS_NAME, cache_dir=args.cache_dir)
    tensors = safetensors.numpy.load_file(weights)
    parameters = sum(tensor.size for tensor in tensors.values())
    return {
        "model_type": config.model_type,
        "sampling_rate": extractor.sampling_rate,
        "tensors": len(tensors),
        "parameters": parameters,
    }


client.run(read)

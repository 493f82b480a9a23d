"""Loads whole models with stock transformers, online, by name: server_models.py CACHE_DIR FIXTURES --endpoint URL

The weights must equal the fixtures bit for bit. Needs torch; `make parity` has it.
"""

import client

args = client.arguments(__doc__, "cache_dir", "fixtures", endpoint=None)
client.use_endpoint(args.endpoint)

import torch
import transformers

MODELS = [
    ("speech-flow/tiny-lid", transformers.Wav2Vec2ForSequenceClassification, "tiny-lid"),
    ("speech-flow/tiny-whisper", transformers.WhisperForConditionalGeneration, "tiny-whisper"),
]


def load():
    tensors = 0
    for repo, kind, fixture in MODELS:
        model = kind.from_pretrained(repo, cache_dir=args.cache_dir)
        reference = kind.from_pretrained(f"{args.fixtures}/{fixture}", dtype=model.dtype, local_files_only=True)
        ours, theirs = model.state_dict(), reference.state_dict()
        assert ours.keys() == theirs.keys(), f"{repo}: the parameters have other names"
        for name, tensor in theirs.items():
            assert torch.equal(ours[name], tensor), f"{repo}: `{name}` differs from the fixture"
        tensors += len(theirs)
    return {"equal_tensors": tensors}


client.run(load)

"""Says which language is spoken in a recording with transformers, from the volume that speech-flow fills.

    HF_HOME=/models/huggingface HF_HUB_OFFLINE=1 python identify.py RECORDING

Needs `transformers`, `torch` and `av`. Nothing in it is ours: the two variables are all that it takes.
"""

import os
import sys

import av
import numpy
import torch
from transformers import AutoFeatureExtractor, Wav2Vec2ForSequenceClassification

name = os.environ.get("LID_MODEL_ID", "facebook/mms-lid-126")
revision = os.environ.get("LID_MODEL_REVISION", "main")


def samples(path):
    """The first 30 seconds at 16 kHz, mono."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
    with av.open(path) as recording:
        frames = [part for frame in recording.decode(audio=0) for part in resampler.resample(frame)]
        frames += resampler.resample(None)
    return numpy.concatenate([frame.to_ndarray()[0] for frame in frames])[: 30 * 16_000]


extractor = AutoFeatureExtractor.from_pretrained(name, revision=revision)
model = Wav2Vec2ForSequenceClassification.from_pretrained(name, revision=revision).eval()
inputs = extractor(samples(sys.argv[1]), sampling_rate=16_000, return_tensors="pt")
with torch.inference_mode():
    probabilities = model(**inputs).logits.softmax(-1)[0]
best = int(probabilities.argmax())
print(model.config.id2label[best], f"{float(probabilities[best]):.1%}")

"""Writes the log-mel features of faster-whisper as raw 32-bit floats: speech_features.py OUT BINS AUDIO"""

import client

args = client.arguments(__doc__, "out", "bins", "audio")
client.go_offline()

from faster_whisper import decode_audio
from faster_whisper.feature_extractor import FeatureExtractor


def write():
    audio = decode_audio(args.audio, sampling_rate=16000)
    features = FeatureExtractor(feature_size=int(args.bins))(audio)
    features.astype("<f4").tofile(args.out)
    return {"shape": list(features.shape)}


client.run(write)

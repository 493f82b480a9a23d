"""Writes the golden features beside this file, from the clips in `fixtures/audio`.

Needs faster-whisper 1.2.1, transformers and numpy. Columns and samples are thinned out to keep the files small.
"""

from pathlib import Path

import numpy as np
from faster_whisper.audio import decode_audio
from faster_whisper.feature_extractor import FeatureExtractor
from transformers import Wav2Vec2FeatureExtractor

HERE = Path(__file__).parent
AUDIO = HERE.parents[3] / "fixtures" / "audio"

for clip, mels, step in [("en05.wav", 80, 4), ("en12.flac", 128, 8)]:
    features = FeatureExtractor(feature_size=mels)(decode_audio(str(AUDIO / clip)))
    np.save(HERE / f"log-mel-{mels}-{clip.split('.')[0]}.npy", np.ascontiguousarray(features[:, ::step]))

extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True)
samples = decode_audio(str(AUDIO / "lid-eng.flac"))
values = extractor(samples, sampling_rate=16000, return_tensors="np").input_values[0]
np.save(HERE / "wav2vec2-lid-eng.npy", np.ascontiguousarray(values[::16]))

# How the reference decodes what it resamples or mixes, every 8th sample.
for clip in ["en06.mp3", "en07.ogg", "en09.44k-stereo.flac", "es02.m4a", "fr02.48k-f32.wav"]:
    samples = (decode_audio(str(AUDIO / clip)) * 32768).astype(np.int16)
    np.save(HERE / f"decoded-{clip}.npy", samples[::8])

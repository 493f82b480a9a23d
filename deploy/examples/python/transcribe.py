"""Transcribes a recording with faster-whisper, from the volume that speech-flow fills.

    python transcribe.py RECORDING

Nothing in it is ours: faster-whisper reads the volume as its own cache. It takes the settings that our workers take.
"""

import os
import sys

from faster_whisper import WhisperModel

models = os.environ.get("MODEL_CACHE_DIR", "/models")
model = WhisperModel(
    os.environ.get("WHISPER_MODEL_NAME", "large-v3"),
    device=os.environ.get("WHISPER_DEVICE", "cpu"),
    compute_type=os.environ.get("WHISPER_COMPUTE_TYPE", "int8"),
    download_root=os.environ.get("WHISPER_CACHE_DIR", f"{models}/whisper"),
    # A branch, which stands for what the volume has, or a commit; None is the branch `main`.
    revision=os.environ.get("WHISPER_MODEL_REVISION"),
    # What is not on the volume is an error, and no download.
    local_files_only=True,
)
segments, info = model.transcribe(sys.argv[1])
print(info.language, " ".join(segment.text.strip() for segment in segments))

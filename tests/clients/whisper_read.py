"""Transcribes a clip with faster-whisper, offline, on the CPU.

whisper_read.py MODEL AUDIO [--cache-dir DIR] [--revision REVISION]      MODEL: a size, org/name, or a folder
"""

import client

args = client.arguments(__doc__, "model", "audio", cache_dir=None, revision=None)
client.go_offline()

from faster_whisper import WhisperModel


def read():
    model = WhisperModel(
        args.model,
        device="cpu",
        compute_type="float32",
        cpu_threads=1,
        download_root=args.cache_dir,
        revision=args.revision,
        local_files_only=True,
    )
    segments, info = model.transcribe(args.audio)
    return {"text": "".join(segment.text for segment in segments).strip(), "language": info.language}


client.run(read)

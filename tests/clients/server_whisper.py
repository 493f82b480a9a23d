"""Loads a model by its name and hears a clip: server_whisper.py CACHE_DIR MODEL CLIP --endpoint URL"""

import client

args = client.arguments(__doc__, "cache_dir", "model", "clip", endpoint=None)
client.use_endpoint(args.endpoint)

import faster_whisper


def hear():
    model = faster_whisper.WhisperModel(args.model, device="cpu", compute_type="float32", cpu_threads=1, download_root=args.cache_dir)
    segments, _ = model.transcribe(args.clip, language="en", temperature=0.0)
    return {"text": "".join(segment.text for segment in segments).strip()}


client.run(hear)

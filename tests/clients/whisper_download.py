"""Downloads a model as faster-whisper does: whisper_download.py CACHE_DIR MODEL --endpoint URL [--revision REVISION]"""

import client

args = client.arguments(__doc__, "cache_dir", "model", endpoint=None, revision=None)
client.use_endpoint(args.endpoint)

import faster_whisper


def download():
    folder = faster_whisper.download_model(args.model, cache_dir=args.cache_dir, revision=args.revision)
    return {"path": folder, "files": client.files_in(folder)}


client.run(download)

"""Downloads a model and says with what: server_versions.py CACHE_DIR REPO, with HF_ENDPOINT in the environment"""

import importlib.util
import os

import client

args = client.arguments(__doc__, "cache_dir", "repo")
client.use_endpoint(os.environ["HF_ENDPOINT"])

import huggingface_hub
import huggingface_hub.utils._runtime


def download():
    has_xet = importlib.util.find_spec("hf_xet") is not None
    # What is installed must be what the client would use.
    assert huggingface_hub.utils._runtime.is_xet_available() == has_xet
    folder = huggingface_hub.snapshot_download(args.repo, cache_dir=args.cache_dir, token=False)
    # And as most programs ask: for one file of a branch.
    one = huggingface_hub.hf_hub_download(args.repo, "config.json", cache_dir=args.cache_dir + "-one", token=False)
    assert os.path.getsize(one) == os.path.getsize(os.path.join(folder, "config.json"))
    return {"version": huggingface_hub.__version__, "has_xet": has_xet, "files": client.files_in(folder)}


client.run(download)

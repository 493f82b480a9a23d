"""Downloads files one at a time with hf_hub_download: one_by_one.py CACHE_DIR REPO REVISION FILE... --endpoint URL"""

import client

args = client.arguments(__doc__, "cache_dir", "repo", "revision", "files...", endpoint=None)
client.use_endpoint(args.endpoint)

import huggingface_hub


def download():
    where = {"revision": args.revision, "cache_dir": args.cache_dir, "token": False}
    return {"paths": [huggingface_hub.hf_hub_download(args.repo, file, **where) for file in args.files]}


client.run(download)

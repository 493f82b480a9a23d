"""Asks for a model as llama.cpp does: refs, one page of the tree, HEAD and GET: server_llama.py REPO --endpoint URL"""

import hashlib
import json
import urllib.request

import client

args = client.arguments(__doc__, "repo", endpoint=None)


def request(path, method="GET"):
    return urllib.request.urlopen(urllib.request.Request(args.endpoint + path, method=method), timeout=10)


def download():
    refs = json.load(request(f"/api/models/{args.repo}/refs"))
    commit = next(ref["targetCommit"] for ref in refs["branches"] if ref["name"] == "main")
    tree = json.load(request(f"/api/models/{args.repo}/tree/{commit}?recursive=true"))
    files = {}
    for entry in tree:
        if entry["type"] != "file":
            continue
        path = f"/{args.repo}/resolve/{commit}/{entry['path']}"
        head = request(path, "HEAD")
        assert head.headers["Accept-Ranges"] == "bytes" and int(head.headers["Content-Length"]) == entry["size"]
        content = request(path).read()
        files[entry["path"]] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return {"files": files}


client.run(download)

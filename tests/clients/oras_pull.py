"""Pulls an artifact with oras: oras_pull.py REFERENCE FOLDER [--user USER] [--password PASSWORD]"""

import hashlib
import os

import client

args = client.arguments(__doc__, "reference", "folder", user=None, password=None)

import oras.client


def pull():
    registry = oras.client.OrasClient(hostname=args.reference.split("/")[0], insecure=True, tls_verify=False)
    if args.user:
        registry.login(username=args.user, password=args.password, config_path=os.path.join(args.folder, "login.json"))
    pulled = registry.pull(target=args.reference, outdir=args.folder)
    manifest = registry.get_manifest(args.reference)
    files = {}
    for path in pulled:
        with open(path, "rb") as file:
            files[os.path.relpath(path, args.folder)] = hashlib.sha256(file.read()).hexdigest()
    return {"files": files, "manifest": manifest}


client.run(pull)

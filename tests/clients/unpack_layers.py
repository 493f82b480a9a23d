"""Unpacks an image of an OCI layout as a container runtime does: unpack_layers.py LAYOUT FOLDER"""

import json
import os
import tarfile

import client

args = client.arguments(__doc__, "layout", "folder")


def blob(descriptor):
    return os.path.join(args.layout, "blobs", *descriptor["digest"].split(":"))


def document(descriptor):
    with open(blob(descriptor)) as file:
        return json.load(file)


def unpack():
    with open(os.path.join(args.layout, "index.json")) as file:
        index = document(json.load(file)["manifests"][0])
    image = next(image for image in index["manifests"] if image["platform"]["architecture"] == "arm64")
    manifest = document(image)
    entries = []
    for layer in manifest["layers"]:
        assert layer["mediaType"] == "application/vnd.oci.image.layer.v1.tar", layer
        with tarfile.open(blob(layer), "r:") as archive:
            entries += [[entry.name, entry.mode, entry.uid, entry.mtime] for entry in archive]
            archive.extractall(args.folder, filter="tar")
    return {"config": document(manifest["config"]), "layers": manifest["layers"], "entries": entries}


client.run(unpack)

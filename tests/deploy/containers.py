"""Prints what each container of a strategy runs, as JSON: arguments, variables and mounts, as kubectl renders them.

containers.py OVERLAY

Variables that come from a Secret are left out.
"""

import json
import sys

import pods
import render


def main():
    (name,) = sys.argv[1:]
    objects = render.overlay(name)
    settings = {found["metadata"]["name"]: found.get("data", {}) for found in objects if found["kind"] == "ConfigMap"}
    printed = {}
    for found, template in pods.templates(objects):
        printed[f"{found['kind']}/{found['metadata']['name']}"] = [
            container(each, settings) for each in pods.containers(template)
        ]
    print(json.dumps(printed))


def container(each, settings):
    variables = {}
    for source in each.get("envFrom", []):
        variables |= settings[source["configMapRef"]["name"]]
    variables |= {variable["name"]: variable["value"] for variable in each.get("env", []) if "value" in variable}
    mounts = [{"path": mount["mountPath"], "read_only": mount.get("readOnly", False)} for mount in each.get("volumeMounts", [])]
    return {"name": each["name"], "args": each["args"], "variables": variables, "mounts": mounts}


if __name__ == "__main__":
    main()

"""Holds objects to the types of the API: the schemas of several versions of Kubernetes, in which an unknown field is an
error, and those of the custom resources."""

import json
import subprocess

import kubernetes_validate

from render import NEWEST, OLDEST, OLDEST_OF, TOOLS, name_of

CUSTOM = ("keda.sh/", "monitoring.coreos.com/", "snapshot.storage.k8s.io/")


def conforms(objects, strategy=None):
    """What is no object of its type, in the oldest and the newest version that it is for."""
    problems = []
    oldest = OLDEST_OF.get(strategy, OLDEST)
    for thing in objects:
        if thing["apiVersion"].startswith(CUSTOM):
            continue
        for version in (oldest, NEWEST):
            try:
                kubernetes_validate.validate(thing, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                path = ".".join(map(str, error.path))
                problems.append(f"{name_of(thing)}: {path}: {error.message} (Kubernetes {version})")
            except kubernetes_validate.SchemaNotFoundError:
                problems.append(f"{name_of(thing)}: Kubernetes {version} has no {thing['apiVersion']} {thing['kind']}")
    return problems + custom([thing for thing in objects if thing["apiVersion"].startswith(CUSTOM)])


def custom(objects):
    """The same for custom resources, by the schemas of the npm packages."""
    if not objects:
        return []
    script = TOOLS.parents[1] / "tests/deploy/custom.mjs"
    done = subprocess.run(
        ["node", str(script), str(TOOLS)], input=json.dumps(objects), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"custom.mjs: exit {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)

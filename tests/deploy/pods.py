"""Walks over pods, wherever they stand."""

WITH_TEMPLATE = ("Deployment", "StatefulSet", "DaemonSet", "Job")


def template_of(thing):
    """The pod template of an object; None where it makes no pods."""
    if thing["kind"] in WITH_TEMPLATE:
        return thing["spec"]["template"]
    if thing["kind"] == "CronJob":
        return thing["spec"]["jobTemplate"]["spec"]["template"]
    return None


def templates(objects):
    """Each object that makes pods, with its pod template."""
    return [(thing, template_of(thing)) for thing in objects if template_of(thing)]


def containers(template):
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec.get("containers", [])]


def places(objects):
    """Every container, with the object and the template that it is in, and how to call it."""
    for thing, template in templates(objects):
        for container in containers(template):
            where = f"{thing['kind']}/{thing['metadata']['name']}/{container['name']}"
            yield thing, template, container, where


def environment(objects, container):
    """What the container's program finds in its environment; of a secret, that it is one."""
    maps = {thing["metadata"]["name"]: thing.get("data", {}) for thing in objects if thing["kind"] == "ConfigMap"}
    found = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            found.update(maps.get(source["configMapRef"]["name"], {}))
    for variable in container.get("env", []):
        found[variable["name"]] = variable.get("value", "a-secret")
    return found

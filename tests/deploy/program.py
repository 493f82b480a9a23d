"""What the manifests say of our program: its arguments, settings, ports, paths and times. All of it is held to the program
itself: `facts` is what the running binary said of itself."""

import os
import re
import subprocess

from pods import environment, places
from wiring import PROBES, quantity

# Variables that are not settings of ours: what the object stores' own libraries read.
OTHERS = ("AWS_", "AZURE_", "GOOGLE_")
DURATION = re.compile(r"^([0-9]+)(ms|s|m|h|d|w)?$")
SECONDS = {"ms": 0.001, None: 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
LISTENS = {"worker": "WORKER_LISTEN", "serve": "SPEECH_FLOW_SERVER_LISTEN"}


def seconds(text):
    match = DURATION.match(text)
    return int(match[1]) * SECONDS[match[2]]


def service_of(container):
    """Which of our services a container is: `serve`, `worker whisper`, `worker lid`; None for a command that ends."""
    words = container["args"]
    return {"serve": "serve", "worker": " ".join(words[:2])}.get(words[0])


def ask(facts, arguments, variables=None):
    """Runs the program with exactly these variables."""
    surroundings = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(variables or {})}
    return subprocess.run([facts["binary"], *arguments], env=surroundings, capture_output=True, text=True, check=False)


def arguments(objects, facts):
    """The program takes the arguments."""
    for _, _, container, where in places(objects):
        key = ("arguments", *container["args"])
        if key not in facts["asked"]:
            facts["asked"][key] = ask(facts, [*container["args"], "--help"])
        done = facts["asked"][key]
        if done.returncode != 0:
            yield f"{where}: {' '.join(container['args'])}: {done.stderr.strip()}"


def settings(objects, facts):
    """Every variable is a setting of the program, and every value one that it takes."""
    for _, _, container, where in places(objects):
        variables = environment(objects, container)
        for name in variables:
            if name not in facts["variables"] and not name.startswith(OTHERS):
                yield f"{where}: {name} is no setting"
        key = ("settings", *sorted(variables.items()))
        if key not in facts["asked"]:
            facts["asked"][key] = ask(facts, ["config"], variables)
        done = facts["asked"][key]
        if done.returncode != 0:
            yield f"{where}: {done.stderr.strip()}"
    for thing in objects:
        if thing["kind"] == "ConfigMap" and thing["metadata"]["name"].startswith("speech-flow-config"):
            for name in thing["data"]:
                if name not in facts["variables"]:
                    yield f"ConfigMap: {name} is no setting"


def listening(objects, facts):
    """The container's port is where the program listens, on all addresses."""
    for _, _, container, where in places(objects):
        variable = LISTENS.get(container["args"][0])
        if not variable:
            if container.get("ports"):
                yield f"{where}: it has a port, and what it runs listens nowhere"
            continue
        host, _, port = environment(objects, container).get(variable, "127.0.0.1:0").rpartition(":")
        if host not in ("0.0.0.0", "[::]"):
            yield f"{where}: {variable} is the address {host}, which no probe reaches"
        if [item["containerPort"] for item in container.get("ports", [])] != [int(port)]:
            yield f"{where}: it listens on {port}, and that is not its port"


def probes(objects, facts):
    """Probes ask for a path that the service answers, on its port; and for the right one."""
    for _, _, container, where in places(objects):
        for probe in PROBES:
            request = container.get(probe, {}).get("httpGet")
            if not request:
                continue
            if request["path"] not in facts["routes"].get(service_of(container), []):
                yield f"{where}: {probe}: `{' '.join(container['args'])}` has no {request['path']}"
            if request["port"] not in [port["name"] for port in container.get("ports", [])]:
                yield f"{where}: {probe}: there is no port {request['port']}"
            if probe == "livenessProbe" and request["path"] not in ("/livez", "/healthz"):
                yield f"{where}: a pod that is not ready would be killed for it"
            if probe == "readinessProbe" and request["path"] != "/readyz":
                yield f"{where}: a pod that is not ready would get requests"


def endings(objects, facts):
    """A pod has the time that its work may take, after the moment in which the cluster hears that it goes."""
    for thing, template, container, where in places(objects):
        if not service_of(container):
            continue
        hook = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if hook < 5:
            yield f"{where}: it stops before the cluster has heard of it: preStop sleeps {hook} s"
        if service_of(container) == "serve":
            work = facts["drain_seconds"]
        else:
            work = seconds(environment(objects, container)["WORKER_DEADLINE"])
        grace = template["spec"].get("terminationGracePeriodSeconds", 30)
        if grace < hook + work:
            yield f"{where}: it is killed after {grace} s, and needs {hook} + {work:g}"
        if "emptyDir" in str(template["spec"].get("volumes")) and service_of(container) != "serve":
            yield from uploads(objects, template, container, where)


def uploads(objects, template, container, where):
    """The uploads that a worker takes at once fit their volume, and that the limit of the pod."""
    variables = environment(objects, container)
    mount = next((m for m in container["volumeMounts"] if m["mountPath"] == variables["WORKER_TEMP_DIR"]), None)
    if not mount:
        yield f"{where}: nothing is mounted at {variables['WORKER_TEMP_DIR']}, and the root file system is read-only"
        return
    volume = next(v for v in template["spec"]["volumes"] if v["name"] == mount["name"])
    room = quantity(volume["emptyDir"]["sizeLimit"])
    largest = quantity(variables["WORKER_MAX_UPLOAD"].removesuffix("B"))
    if room < largest * int(variables["WORKER_MAX_REQUESTS"]):
        yield f"{where}: the uploads of {variables['WORKER_MAX_REQUESTS']} requests do not fit {mount['name']}"
    all_room = sum(
        quantity(v["emptyDir"]["sizeLimit"]) for v in template["spec"]["volumes"] if "emptyDir" in v
    )
    if quantity(container["resources"]["limits"]["ephemeral-storage"]) < all_room:
        yield f"{where}: its folders may hold more than its limit of ephemeral-storage"


def memory(objects, facts):
    """Workers have the memory that `speech-flow doctor --model` says their model needs, and not much more."""
    for _, _, container, where in places(objects):
        service = service_of(container)
        if service not in facts["memory"]:
            continue
        variables = environment(objects, container)
        kind = "whisper" if service == "worker whisper" else "lid"
        if variables[f"{kind.upper()}_DEVICE"] != "cpu":
            continue
        needed = facts["memory"][service]
        for group in ("requests", "limits"):
            given = quantity(container["resources"][group]["memory"])
            if not needed <= given <= needed * 1.5:
                yield f"{where}: {group}.memory is {given / 2**30:.2f} GiB; the model needs {needed / 2**30:.2f} GiB"


def metrics(objects, facts):
    """Autoscalers ask for metrics that the workers have."""
    for thing in objects:
        where, text = f"{thing['kind']}/{thing['metadata']['name']}", ""
        if thing["kind"] == "HorizontalPodAutoscaler":
            text = " ".join(metric["pods"]["metric"]["name"] for metric in thing["spec"]["metrics"])
        if thing["kind"] == "ScaledObject":
            text = " ".join(trigger["metadata"]["query"] for trigger in thing["spec"]["triggers"])
        for name in re.findall(r"speech_flow_\w+", text):
            if name not in facts["metrics"]:
                yield f"{where}: no worker has the metric {name}"


def pinned(objects, facts):
    """Where a lockfile is, everything that takes a model is held to it."""
    for thing, _, container, where in places(objects):
        variables = environment(objects, container)
        takes_models = container["args"][0] in ("worker", "preload")
        if "SPEECH_FLOW_LOCKFILE" in variables and takes_models and "--locked" not in container["args"]:
            yield f"{where}: there is a lockfile, and it is not held to it"
        path = variables.get("SPEECH_FLOW_LOCKFILE", "")
        if takes_models and path and not any(path.startswith(m["mountPath"] + "/") for m in container["volumeMounts"]):
            yield f"{where}: its lockfile {path} is on no volume"


"""Holds deploy/monitoring to the Prometheus operator's types, as kubectl renders it, and to the pods it is for."""

import json
import re
import subprocess
import sys

import render

MONITORING = render.ROOT / "deploy/monitoring"
OPERATOR = "monitoring.coreos.com"
# What has metrics: component, by which the monitors find it; the job that the rules know.
COMPONENTS = {"cache-server", "node-cache", "worker-whisper", "worker-lid"}


def faults_of_types(objects):
    node = ["node", str(render.ROOT / "tests/deploy/custom.mjs"), str(render.TOOLS)]
    done = subprocess.run(node, input=json.dumps(objects), capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else [done.stderr]


def chosen(monitor):
    """The components that a monitor chooses."""
    selector = monitor["spec"]["selector"]
    assert selector["matchLabels"]["app.kubernetes.io/name"] == "speech-flow", selector
    key = "app.kubernetes.io/component"
    lists = [term["values"] for term in selector.get("matchExpressions", []) if term["key"] == key]
    return set(sum(lists, [])) | {value for label, value in selector["matchLabels"].items() if label == key}


def faults_of_monitors(objects):
    found = set()
    for monitor in (thing for thing in objects if thing["kind"] in ("PodMonitor", "ServiceMonitor")):
        found |= chosen(monitor)
        spec = monitor["spec"]
        for endpoint in spec.get("endpoints", []) + spec.get("podMetricsEndpoints", []):
            if (endpoint["port"], endpoint["path"]) != ("http", "/metrics"):
                yield f"{monitor['metadata']['name']} reads {endpoint['port']} {endpoint['path']}"
            jobs = [rule["replacement"] for rule in endpoint["relabelings"] if rule["targetLabel"] == "job"]
            if jobs != ["speech-flow-$1"]:
                yield f"{monitor['metadata']['name']} calls the job {jobs}, and the rules do not"
    if found != COMPONENTS:
        yield f"the monitors choose {sorted(found)}"


def faults_of_rules(objects):
    names = {f"speech-flow-{component}" for component in COMPONENTS}
    rules = [thing for thing in objects if thing["kind"] == "PrometheusRule"]
    expressions = [rule["expr"] for thing in rules for group in thing["spec"]["groups"] for rule in group["rules"]]
    for operator, value in {found for text in expressions for found in re.findall(r'job(=~?)"([^"]+)"', text)}:
        if not any(re.fullmatch(value, name) if operator == "=~" else value == name for name in names):
            yield f"no job is called {value}"


def main():
    objects = render.parse(render.run(render.TOOLS / "bin/kubectl", "kustomize", MONITORING))
    kinds = sorted(thing["kind"] for thing in objects)
    faults = [*faults_of_monitors(objects), *faults_of_rules(objects)]
    faults += faults_of_types([thing for thing in objects if thing["apiVersion"].startswith(OPERATOR)])
    faults += [f"{thing['kind']} is not in the namespace" for thing in objects if thing["metadata"].get("namespace") != "speech-flow"]
    if kinds != ["ConfigMap", "PodMonitor", *["PrometheusRule"] * 4, "ServiceMonitor"]:
        faults.append(f"rendered: {kinds}")
    dashboard = [json.loads(text) for thing in objects if thing["kind"] == "ConfigMap" for text in thing["data"].values()]
    faults += [] if [board["uid"] for board in dashboard] == ["speech-flow"] else ["the ConfigMap has no dashboard"]
    print("\n".join(faults) or f"{len(objects)} objects are right")
    sys.exit(1 if faults else 0)


main()

"""What no schema sees and a cluster trips over: names that do not fit together."""

import re

from pods import containers, environment, places, template_of, templates

LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
SUBDOMAIN = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
PORT_NAME = re.compile(r"^(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*$")
LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?$")
LABEL_KEY = re.compile(r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
QUANTITY = re.compile(r"^([0-9]+(\.[0-9]+)?|\.[0-9]+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$")
UNITS = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
UNITS |= {f"{letter}i": 1024**power for power, letter in enumerate("KMGTPE", start=1)}
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")
WITH_SELECTOR = ("Deployment", "StatefulSet", "DaemonSet")
# Settings that name a place on a volume.
MOUNTED = ("SPEECH_FLOW_LEASE_DIR", "SPEECH_FLOW_LOCKFILE")
CLUSTER_WIDE = ("Namespace", "PriorityClass", "PersistentVolume", "ClusterRole", "ClusterRoleBinding", "StorageClass")
# Kinds whose names end in the names of pods or become a label's value.
SHORT_NAMES = {"Service": 63, "StatefulSet": 52, "Job": 63, "CronJob": 52, "Namespace": 63, "DaemonSet": 52}
REQUIRED_LABELS = ("app.kubernetes.io/name", "app.kubernetes.io/component", "app.kubernetes.io/part-of")


def quantity(text):
    """A quantity of Kubernetes as a number; None where it is none."""
    match = QUANTITY.match(str(text))
    return float(match[1]) * UNITS[match[3] or ""] if match else None


def names(objects):
    """Names and labels are what the API takes, unique, and in our namespace."""
    seen = set()
    for thing in objects:
        name, kind = thing["metadata"]["name"], thing["kind"]
        where = f"{kind}/{name}"
        pattern = LABEL if kind in ("Service", "Namespace") else SUBDOMAIN
        if not pattern.match(name) or len(name) > SHORT_NAMES.get(kind, 253):
            yield f"{where}: `{name}` is no name for a {kind}"
        key = (thing["apiVersion"].split("/")[0], kind, name)
        if key in seen:
            yield f"{where} stands there twice"
        seen.add(key)
        if kind not in CLUSTER_WIDE and thing["metadata"].get("namespace") != "speech-flow":
            yield f"{where}: it is not in the namespace `speech-flow`"
        labels = thing["metadata"].get("labels", {})
        if kind != "Namespace":
            yield from (f"{where}: no label {label}" for label in REQUIRED_LABELS if label not in labels)
        for owner in filter(None, (thing, template_of(thing))):
            for key, value in owner["metadata"].get("labels", {}).items():
                if not LABEL_KEY.match(key) or not isinstance(value, str) or not LABEL_VALUE.match(value):
                    yield f"{where}: {key}: {value} is no label"
    for _, _, container, where in places(objects):
        if not LABEL.match(container["name"]):
            yield f"{where}: no name for a container"
        for port in container.get("ports", []):
            if not PORT_NAME.match(port.get("name", "")):
                yield f"{where}: `{port.get('name')}` is no name for a port"


def fits(selector, labels):
    """Whether a label selector takes these labels."""
    pairs = selector.get("matchLabels", {})
    if any(labels.get(key) != value for key, value in pairs.items()):
        return False
    for rule in selector.get("matchExpressions", []):
        has, operator = labels.get(rule["key"]), rule["operator"]
        taken = {
            "In": has in rule.get("values", []),
            "NotIn": has not in rule.get("values", []),
            "Exists": rule["key"] in labels,
            "DoesNotExist": rule["key"] not in labels,
        }
        if not taken[operator]:
            return False
    return True


def selectors(objects):
    """Every selector takes the pods that it is for, and no other."""
    pods = [(thing, template["metadata"].get("labels", {})) for thing, template in templates(objects)]
    for thing in objects:
        where, spec = f"{thing['kind']}/{thing['metadata']['name']}", thing.get("spec", {})
        if thing["kind"] in WITH_SELECTOR:
            own = template_of(thing)["metadata"].get("labels", {})
            if not spec["selector"].get("matchLabels"):
                yield f"{where}: its selector is empty"
            if not fits(spec["selector"], own):
                yield f"{where}: its selector does not take its own pods"
            for other, labels in pods:
                if other is not thing and fits(spec["selector"], labels):
                    yield f"{where}: its selector takes the pods of {other['kind']}/{other['metadata']['name']}"
            for rule in template_of(thing)["spec"].get("topologySpreadConstraints", []):
                if not fits(rule["labelSelector"], own):
                    yield f"{where}: its pods are spread by a selector that does not take them"
        selector = {
            "Service": {"matchLabels": spec.get("selector", {})},
            "PodDisruptionBudget": spec.get("selector"),
            "NetworkPolicy": spec.get("podSelector"),
        }.get(thing["kind"])
        if selector is None or thing["metadata"]["name"] == "speech-flow-default-deny":
            continue
        taken = [other for other, labels in pods if fits(selector, labels)]
        # Rules for pods that reach the hub or the cache server stand in the base; a strategy may have none.
        is_for_some = thing["kind"] == "NetworkPolicy" and "-to-" in thing["metadata"]["name"]
        if not taken and not is_for_some:
            yield f"{where}: its selector takes no pod"
        if thing["kind"] != "NetworkPolicy" and len(taken) > 1:
            yield f"{where}: its selector takes the pods of {len(taken)} objects"


def ports(objects):
    """What is named as a port is one of the pods that are meant."""
    for thing in objects:
        where, spec = f"{thing['kind']}/{thing['metadata']['name']}", thing.get("spec", {})
        if thing["kind"] == "Service":
            for other, template in templates(objects):
                if fits({"matchLabels": spec["selector"]}, template["metadata"].get("labels", {})):
                    for port in spec["ports"]:
                        target = port.get("targetPort", port["port"])
                        if not has_port(template, target):
                            yield f"{where}: {other['metadata']['name']} has no port {target}"
                        elif port["port"] != number_of(template, target):
                            yield f"{where}: port {port['port']} is {number_of(template, target)} in the pods"
        if thing["kind"] == "NetworkPolicy":
            for rule in spec.get("ingress", []):
                for port in rule.get("ports", []):
                    yield from policy_port(objects, where, spec["podSelector"], port["port"])
            for rule in spec.get("egress", []):
                for peer in rule.get("to", []):
                    if "podSelector" in peer and "namespaceSelector" not in peer:
                        for port in rule.get("ports", []):
                            yield from policy_port(objects, where, peer["podSelector"], port["port"])


def policy_port(objects, where, selector, port):
    for other, template in templates(objects):
        if fits(selector, template["metadata"].get("labels", {})) and not has_port(template, port):
            yield f"{where}: {other['metadata']['name']} has no port {port}"


def open_ports(template):
    return [port for container in containers(template) for port in container.get("ports", [])]


def has_port(template, wanted):
    return any(wanted in (port.get("name"), port["containerPort"]) for port in open_ports(template))


def number_of(template, wanted):
    return next(p["containerPort"] for p in open_ports(template) if wanted in (p.get("name"), p["containerPort"]))


def reachable(objects):
    """Every port that answers people or machines is let in, and every HF_ENDPOINT of ours is let out."""
    policies = [thing["spec"] for thing in objects if thing["kind"] == "NetworkPolicy"]
    services = {thing["metadata"]["name"] for thing in objects if thing["kind"] == "Service"}
    for thing, template in templates(objects):
        where, labels = f"{thing['kind']}/{thing['metadata']['name']}", template["metadata"].get("labels", {})
        mine = [policy for policy in policies if fits(policy["podSelector"], labels)]
        if not any(policy["podSelector"] == {} and not policy.get("ingress") for policy in policies):
            yield f"{where}: not everything else is denied"
        allowed = [port["port"] for policy in mine for rule in policy.get("ingress", []) for port in rule.get("ports", [])]
        for port in open_ports(template):
            if port["name"] not in allowed and port["containerPort"] not in allowed:
                yield f"{where}: no NetworkPolicy lets anyone to its port {port['name']}"
        reaches_hub = labels.get("speech-flow/reaches-hub") == "true"
        reaches_cache = labels.get("speech-flow/reaches-cache") == "true"
        for container in containers(template):
            variables = environment(objects, container)
            if variables.get("HF_HUB_OFFLINE") == "1" or container["args"][0] == "gc":
                continue
            endpoint = variables.get("HF_ENDPOINT", "https://hub")
            host = re.match(r"https?://([^:/]+)", endpoint)[1]
            if host.startswith("speech-flow-") and host not in services:
                yield f"{where}/{container['name']}: HF_ENDPOINT is {endpoint}, and there is no such Service"
            if host.startswith("speech-flow-") and not reaches_cache:
                yield f"{where}/{container['name']}: it cannot reach the cache server: no label speech-flow/reaches-cache"
            if not host.startswith("speech-flow-") and not reaches_hub:
                yield f"{where}/{container['name']}: it cannot reach the hub: no label speech-flow/reaches-hub"
            if "SPEECH_FLOW_FALLBACK_ENDPOINT" in variables and not reaches_hub:
                yield f"{where}/{container['name']}: it cannot reach what it falls back to"


def volumes(objects):
    """What is mounted is there, what is there is mounted, and what a volume names exists."""
    have = {(thing["kind"], thing["metadata"]["name"]) for thing in objects}
    for thing, template in templates(objects):
        where, spec = f"{thing['kind']}/{thing['metadata']['name']}", template["spec"]
        claims = {claim["metadata"]["name"] for claim in thing["spec"].get("volumeClaimTemplates", [])}
        declared = [volume["name"] for volume in spec.get("volumes", [])]
        yield from (f"{where}: volume `{name}` stands there twice" for name in declared if declared.count(name) > 1)
        mounted = set()
        for container in containers(template):
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            yield from (f"{where}: {path} is mounted twice" for path in paths if paths.count(path) > 1)
            for mount in container.get("volumeMounts", []):
                mounted.add(mount["name"])
                if mount["name"] not in claims | set(declared):
                    yield f"{where}/{container['name']}: there is no volume `{mount['name']}`"
            variables = environment(objects, container)
            for variable in MOUNTED:
                place = variables.get(variable)
                if place and not any(place == path or place.startswith(f"{path}/") for path in paths):
                    yield f"{where}/{container['name']}: {variable} is {place}, and nothing is mounted there"
        yield from (f"{where}: nobody mounts the volume `{name}`" for name in declared if name not in mounted)
        sources = []
        for volume in spec.get("volumes", []):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            sources.append(("PersistentVolumeClaim", claim))
            sources.append(("ConfigMap", volume.get("configMap", {}).get("name")))
            template_spec = volume.get("ephemeral", {}).get("volumeClaimTemplate", {}).get("spec", {})
            origin = template_spec.get("dataSource", {})
            sources.append((origin.get("kind"), origin.get("name")))
            if claim and [v.get("persistentVolumeClaim", {}).get("claimName") for v in spec["volumes"]].count(claim) > 1:
                yield f"{where}: two volumes of one claim, which kubelet does not mount"
        for kind, name in sources:
            if name and (kind, name) not in have:
                yield f"{where}: there is no {kind}/{name}"
        for reference in ("serviceAccountName", "priorityClassName"):
            kind = {"serviceAccountName": "ServiceAccount", "priorityClassName": "PriorityClass"}[reference]
            if spec.get(reference) and (kind, spec[reference]) not in have:
                yield f"{where}: there is no {kind}/{spec[reference]}"
        for container in containers(template):
            for source in container.get("envFrom", []):
                if ("ConfigMap", source["configMapRef"]["name"]) not in have:
                    yield f"{where}: there is no ConfigMap/{source['configMapRef']['name']}"
    for thing in objects:
        volume = thing.get("spec", {}).get("volumeName") if thing["kind"] == "PersistentVolumeClaim" else None
        if volume and ("PersistentVolume", volume) not in have:
            yield f"PersistentVolumeClaim/{thing['metadata']['name']}: there is no PersistentVolume/{volume}"
        target = thing.get("spec", {}).get("scaleTargetRef")
        if target and (target.get("kind", "Deployment"), target["name"]) not in have:
            yield f"{thing['kind']}/{thing['metadata']['name']}: there is no {target['name']} to scale"
        if target and any(
            "replicas" in other["spec"] for other in objects if other["kind"] == "Deployment" and other["metadata"]["name"] == target["name"]
        ):
            yield f"{thing['kind']}/{thing['metadata']['name']}: {target['name']} sets its replicas itself"


def writers(objects):
    """Workers cannot write to the models; only what says so in its arguments may."""
    for thing, _, container, where in places(objects):
        if container["args"][0] != "worker":
            continue
        variables = environment(objects, container)
        for mount in container.get("volumeMounts", []):
            if mount["mountPath"] == variables["MODEL_CACHE_DIR"] and not mount.get("readOnly"):
                spec = template_of(thing)["spec"]
                volume = next(volume for volume in spec["volumes"] if volume["name"] == mount["name"])
                if "emptyDir" not in volume:
                    yield f"{where}: it can write to the models"


def units(objects):
    """Quantities are quantities, and requests are at most the limits."""
    for _, _, container, where in places(objects):
        resources = container.get("resources", {})
        for group in ("requests", "limits"):
            for what, amount in resources.get(group, {}).items():
                if quantity(amount) is None:
                    yield f"{where}: {group}.{what} `{amount}` is no quantity"
        for what, amount in resources.get("requests", {}).items():
            limit = resources.get("limits", {}).get(what)
            if None not in (limit, quantity(limit), quantity(amount)) and quantity(amount) > quantity(limit):
                yield f"{where}: {what}: more is requested than the limit"
    for thing, template in templates(objects):
        for volume in template["spec"].get("volumes", []):
            size = volume.get("emptyDir", {}).get("sizeLimit")
            if size is not None and quantity(size) is None:
                yield f"{thing['metadata']['name']}: sizeLimit `{size}` is no quantity"


def unchanging(objects):
    """What can never be changed has nothing in it that a new version changes."""
    for thing in objects:
        if thing["kind"] not in WITH_SELECTOR:
            continue
        where = f"{thing['kind']}/{thing['metadata']['name']}"
        fixed = [thing["spec"]["selector"].get("matchLabels", {})]
        fixed += [claim["metadata"].get("labels", {}) for claim in thing["spec"].get("volumeClaimTemplates", [])]
        if any("app.kubernetes.io/version" in labels for labels in fixed):
            yield f"{where}: its selector or its claims carry the version, and could not be upgraded"


def one_handler(objects):
    """Each probe and each hook has one way of asking."""
    for _, _, container, where in places(objects):
        for probe in PROBES:
            if probe in container and sum(handler in container[probe] for handler in HANDLERS) != 1:
                yield f"{where}: {probe} needs one handler"
        for hook, action in container.get("lifecycle", {}).items():
            if sum(handler in action for handler in (*HANDLERS, "sleep")) != 1:
                yield f"{where}: {hook} needs one handler"
        if container.get("ports") and any(probe not in container for probe in PROBES):
            yield f"{where}: it serves and has not all three probes"


def no_shell(objects):
    """The image has no shell and no tools: what a container runs is our program's."""
    for _, _, container, where in places(objects):
        if "command" in container:
            yield f"{where}: it has a command of its own; the image's program is what there is"
        if any("exec" in container.get(probe, {}) for probe in PROBES):
            yield f"{where}: a probe runs a command"
        if "exec" in container.get("lifecycle", {}).get("preStop", {}):
            yield f"{where}: preStop runs a command"

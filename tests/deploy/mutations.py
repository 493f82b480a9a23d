"""Breaks the manifests, one fault at a time, and says which check has to find it."""

import copy

from pods import template_of


def find(objects, kind, name):
    return next(thing for thing in objects if thing["kind"] == kind and thing["metadata"]["name"].startswith(name))


def whisper(objects):
    return find(objects, "Deployment", "speech-flow-whisper")


def pod(objects):
    return template_of(whisper(objects))["spec"]


def worker(objects):
    return pod(objects)["containers"][0]


def set_in(path, value):
    """Sets a field of the transcription worker's container: `a.b.c`."""

    def mutate(objects):
        *parents, last = path.split(".")
        place = worker(objects)
        for key in parents:
            place = place.setdefault(key, {})
        if value is None:
            place.pop(last)
        else:
            place[last] = value

    return mutate


def set_in_pod(path, value):
    def mutate(objects):
        *parents, last = path.split(".")
        place = pod(objects)
        for key in parents:
            place = place.setdefault(key, {})
        place[last] = value

    return mutate


def config(key, value):
    return lambda objects: find(objects, "ConfigMap", "speech-flow-config")["data"].__setitem__(key, value)


def variable(name, value):
    return lambda objects: worker(objects)["env"].append({"name": name, "value": value})


def drop(kind, name):
    return lambda objects: objects.remove(find(objects, kind, name))


def edit(kind, name, change):
    return lambda objects: change(find(objects, kind, name))


# (what is broken, the strategy, the check that has to find it, how it is broken)
MUTATIONS = [
    ("an unknown field", "2-persistent-cache", "conforms", set_in("redinessProbe", {"httpGet": {"path": "/readyz"}})),
    ("a wrong type", "2-persistent-cache", "conforms", set_in("ports", [{"name": "http", "containerPort": "8000"}])),
    ("an unknown field deep in a Job", "2-persistent-cache", "conforms", lambda o: template_of(find(o, "Job", "preload"))["spec"]["containers"][0]["resources"].update(limit={})),
    ("a kind that the version has not", "2-persistent-cache", "conforms", edit("PodDisruptionBudget", "speech-flow-whisper", lambda t: t.update(apiVersion="policy/v1beta1"))),
    ("a field that is too new", "2-persistent-cache", "conforms", lambda o: pod(o)["volumes"][0].update(image={"reference": "a"})),
    ("an unknown field of KEDA's", "keda", "conforms", edit("ScaledObject", "speech-flow-whisper", lambda t: t["spec"]["triggers"][0].update(querry="x"))),
    # Every rule of the standard.
    *(
        (f"{field} in a pod", "2-persistent-cache", "restricted", set_in_pod(field, True))
        for field in ("hostNetwork", "hostPID", "hostIPC")
    ),
    ("a privileged container", "2-persistent-cache", "restricted", set_in("securityContext.privileged", True)),
    ("an added capability", "2-persistent-cache", "restricted", set_in("securityContext.capabilities.add", ["SYS_ADMIN"])),
    ("capabilities kept", "2-persistent-cache", "restricted", set_in("securityContext.capabilities.drop", ["NET_RAW"])),
    ("privilege escalation", "2-persistent-cache", "restricted", set_in("securityContext.allowPrivilegeEscalation", True)),
    ("privilege escalation by omission", "2-persistent-cache", "restricted", set_in("securityContext.allowPrivilegeEscalation", None)),
    ("a hostPath", "2-persistent-cache", "restricted", lambda o: pod(o)["volumes"].append({"name": "x", "hostPath": {"path": "/"}})),
    ("an NFS volume", "2-persistent-cache", "restricted", lambda o: pod(o)["volumes"].append({"name": "x", "nfs": {"server": "a", "path": "/"}})),
    ("a host port", "2-persistent-cache", "restricted", lambda o: worker(o)["ports"][0].update(hostPort=8000)),
    ("a probe of another host", "2-persistent-cache", "restricted", lambda o: worker(o)["livenessProbe"]["httpGet"].update(host="10.0.0.1")),
    ("an AppArmor profile", "2-persistent-cache", "restricted", set_in("securityContext.appArmorProfile", {"type": "Unconfined"})),
    ("an AppArmor annotation", "2-persistent-cache", "restricted", lambda o: template_of(whisper(o))["metadata"].update(annotations={"container.apparmor.security.beta.kubernetes.io/worker": "unconfined"})),
    ("SELinux options", "2-persistent-cache", "restricted", set_in_pod("securityContext.seLinuxOptions", {"type": "spc_t"})),
    ("an SELinux user", "2-persistent-cache", "restricted", set_in("securityContext.seLinuxOptions", {"user": "system_u"})),
    ("procMount", "2-persistent-cache", "restricted", set_in("securityContext.procMount", "Unmasked")),
    ("no seccomp", "2-persistent-cache", "restricted", lambda o: pod(o)["securityContext"].pop("seccompProfile")),
    ("seccomp switched off", "2-persistent-cache", "restricted", set_in("securityContext.seccompProfile", {"type": "Unconfined"})),
    ("a sysctl", "2-persistent-cache", "restricted", set_in_pod("securityContext.sysctls", [{"name": "kernel.msgmax", "value": "1"}])),
    ("root allowed", "2-persistent-cache", "restricted", lambda o: pod(o)["securityContext"].pop("runAsNonRoot")),
    ("root allowed in a container", "2-persistent-cache", "restricted", set_in("securityContext.runAsNonRoot", False)),
    ("user 0", "2-persistent-cache", "restricted", set_in("securityContext.runAsUser", 0)),
    ("a host process", "2-persistent-cache", "restricted", set_in("securityContext.windowsOptions", {"hostProcess": True})),
    ("an init container as root", "2-persistent-cache", "restricted", lambda o: template_of(find(o, "Job", "preload"))["spec"]["initContainers"][0]["securityContext"].update(runAsUser=0)),
    ("a namespace that enforces less", "2-persistent-cache", "restricted", edit("Namespace", "speech-flow", lambda t: t["metadata"]["labels"].update({"pod-security.kubernetes.io/enforce": "baseline"}))),
    # What we ask for beyond it.
    ("a writable root", "2-persistent-cache", "hardened", set_in("securityContext.readOnlyRootFilesystem", False)),
    ("a token of the API", "2-persistent-cache", "hardened", set_in_pod("automountServiceAccountToken", True)),
    ("no memory limit", "2-persistent-cache", "hardened", set_in("resources.limits.memory", None)),
    # Names that do not fit together.
    ("a bad name", "2-persistent-cache", "names", edit("Service", "speech-flow-lid", lambda t: t["metadata"].update(name="speech_flow"))),
    ("a bad label", "2-persistent-cache", "names", edit("Service", "speech-flow-lid", lambda t: t["metadata"]["labels"].update({"app.kubernetes.io/version": "0.1.0+x"}))),
    ("another namespace", "2-persistent-cache", "names", edit("Service", "speech-flow-lid", lambda t: t["metadata"].update(namespace="default"))),
    ("an object twice", "2-persistent-cache", "names", lambda o: o.append(copy.deepcopy(whisper(o)))),
    ("a port name that is too long", "2-persistent-cache", "names", lambda o: worker(o)["ports"][0].update(name="transcription-port")),
    ("a Deployment's selector", "2-persistent-cache", "selectors", lambda o: whisper(o)["spec"]["selector"]["matchLabels"].update({"app.kubernetes.io/component": "worker"})),
    ("a Service's selector", "2-persistent-cache", "selectors", edit("Service", "speech-flow-whisper", lambda t: t["spec"]["selector"].update({"app.kubernetes.io/component": "whisper"}))),
    ("a selector for both workers", "2-persistent-cache", "selectors", edit("Service", "speech-flow-whisper", lambda t: t["spec"]["selector"].pop("app.kubernetes.io/component"))),
    ("a PodDisruptionBudget's selector", "2-persistent-cache", "selectors", edit("PodDisruptionBudget", "speech-flow-lid", lambda t: t["spec"]["selector"]["matchLabels"].update({"app.kubernetes.io/name": "x"}))),
    ("a NetworkPolicy's selector", "4-node-cache", "selectors", edit("NetworkPolicy", "speech-flow-cache", lambda t: t["spec"]["podSelector"]["matchLabels"].update({"app.kubernetes.io/component": "cache"}))),
    ("a spread by the wrong selector", "2-persistent-cache", "selectors", lambda o: pod(o)["topologySpreadConstraints"][0].update(labelSelector={"matchLabels": {"a": "b"}})),
    ("a Service's port", "2-persistent-cache", "ports", edit("Service", "speech-flow-whisper", lambda t: t["spec"]["ports"][0].update(targetPort="web"))),
    ("a Service's number", "2-persistent-cache", "ports", edit("Service", "speech-flow-whisper", lambda t: t["spec"]["ports"][0].update(port=80))),
    ("a NetworkPolicy's port", "4-node-cache", "ports", edit("NetworkPolicy", "speech-flow-to-cache", lambda t: t["spec"]["egress"][1]["ports"][0].update(port=8080))),
    ("no way in", "2-persistent-cache", "reachable", drop("NetworkPolicy", "speech-flow-workers")),
    ("no default", "2-persistent-cache", "reachable", drop("NetworkPolicy", "speech-flow-default-deny")),
    ("no way to the hub", "2-persistent-cache", "reachable", lambda o: template_of(find(o, "Job", "preload"))["metadata"]["labels"].pop("speech-flow/reaches-hub")),
    ("no way to the cache server", "4-node-cache", "reachable", lambda o: template_of(whisper(o))["metadata"]["labels"].pop("speech-flow/reaches-cache")),
    ("an endpoint that is no Service", "4-node-cache", "reachable", drop("Service", "speech-flow-cache")),
    ("a fallback out of reach", "5-hybrid", "reachable", lambda o: template_of(whisper(o))["metadata"]["labels"].pop("speech-flow/reaches-hub")),
    ("a mount without a volume", "2-persistent-cache", "volumes", lambda o: worker(o)["volumeMounts"].append({"name": "x", "mountPath": "/x"})),
    ("a volume that nobody mounts", "2-persistent-cache", "volumes", lambda o: pod(o)["volumes"].append({"name": "x", "emptyDir": {}})),
    ("a lockfile that is not mounted", "4-node-cache", "volumes", edit("StatefulSet", "speech-flow-cache", lambda t: t["spec"]["template"]["spec"]["containers"][0].update(volumeMounts=[{"name": "cache", "mountPath": "/models"}]))),
    ("leases that are on no volume", "5-hybrid", "volumes", edit("StatefulSet", "speech-flow-cache", lambda t: t["spec"]["template"]["spec"]["containers"][0]["env"].pop())),
    ("a claim that is not there", "2-persistent-cache", "volumes", drop("PersistentVolumeClaim", "speech-flow-models")),
    ("two volumes of one claim", "2-persistent-cache", "volumes", lambda o: pod(o)["volumes"].append({"name": "x", "persistentVolumeClaim": {"claimName": "speech-flow-models"}})),
    ("a ConfigMap that is not there", "2-persistent-cache", "volumes", drop("ConfigMap", "speech-flow-config")),
    ("a clone of nothing", "2-single-writer", "volumes", drop("PersistentVolumeClaim", "speech-flow-models")),
    ("a volume that is not there", "4-node-cache", "volumes", drop("PersistentVolume", "speech-flow-node-models")),
    ("a priority that is not there", "2-persistent-cache", "volumes", drop("PriorityClass", "speech-flow-batch")),
    ("a scaled thing that is not there", "hpa", "volumes", edit("HorizontalPodAutoscaler", "speech-flow", lambda t: t["spec"]["scaleTargetRef"].update(name="whisper"))),
    ("replicas beside an autoscaler", "hpa", "volumes", lambda o: whisper(o)["spec"].update(replicas=2)),
    ("models that a worker can write", "2-persistent-cache", "writers", lambda o: [m.pop("readOnly", None) for m in worker(o)["volumeMounts"]]),
    ("a unit", "2-persistent-cache", "units", set_in("resources.limits.memory", "4GB")),
    ("a request above the limit", "2-persistent-cache", "units", set_in("resources.requests.memory", "64Gi")),
    ("claims with the version", "4-node-cache", "unchanging", edit("StatefulSet", "speech-flow-cache", lambda t: t["spec"]["volumeClaimTemplates"][0]["metadata"].update(labels={"app.kubernetes.io/version": "0.1.0"}))),
    ("two handlers", "2-persistent-cache", "one_handler", lambda o: worker(o)["livenessProbe"].update(tcpSocket={"port": 8000})),
    ("no handler", "2-persistent-cache", "one_handler", lambda o: worker(o)["readinessProbe"].pop("httpGet")),
    ("no liveness probe", "2-persistent-cache", "one_handler", set_in("livenessProbe", None)),
    ("a shell", "2-persistent-cache", "no_shell", set_in("lifecycle.preStop", {"exec": {"command": ["sleep", "5"]}})),
    # What the program says of itself.
    ("an unknown flag", "2-persistent-cache", "arguments", set_in("args", ["worker", "whisper", "--lock"])),
    ("an unknown command", "2-persistent-cache", "arguments", lambda o: template_of(find(o, "CronJob", "update"))["spec"]["initContainers"][0].update(args=["upgrade"])),
    ("an unknown variable", "2-persistent-cache", "settings", config("WHISPER_MODEL", "large-v3")),
    ("an unknown variable of a container", "2-persistent-cache", "settings", variable("HF_OFFLINE", "1")),
    ("a bad value", "2-persistent-cache", "settings", config("WHISPER_COMPUTE_TYPE", "int4")),
    ("a bad duration", "2-persistent-cache", "settings", config("WORKER_QUEUE", "30 minutes")),
    ("a port that nobody listens on", "2-persistent-cache", "listening", config("WORKER_LISTEN", "0.0.0.0:9000")),
    ("loopback", "2-persistent-cache", "listening", config("WORKER_LISTEN", "127.0.0.1:8000")),
    ("a path that is not there", "2-persistent-cache", "probes", lambda o: worker(o)["readinessProbe"]["httpGet"].update(path="/ready")),
    ("a port name that is not there", "2-persistent-cache", "probes", lambda o: worker(o)["readinessProbe"]["httpGet"].update(port="web")),
    ("readiness as liveness", "2-persistent-cache", "probes", lambda o: worker(o)["livenessProbe"]["httpGet"].update(path="/readyz")),
    ("too little time to end", "2-persistent-cache", "endings", config("WORKER_DEADLINE", "1h")),
    ("a server with too little time", "4-node-cache", "endings", lambda o: template_of(find(o, "StatefulSet", "speech-flow-cache"))["spec"].update(terminationGracePeriodSeconds=30)),
    ("no moment before the end", "2-persistent-cache", "endings", set_in("lifecycle", {})),
    ("uploads that do not fit", "2-persistent-cache", "endings", config("WORKER_MAX_UPLOAD", "2GiB")),
    ("too little memory", "2-persistent-cache", "memory", lambda o: worker(o)["resources"].update(requests={"memory": "1Gi"}, limits={"memory": "1Gi"})),
    ("far too much memory", "2-persistent-cache", "memory", set_in("resources.limits.memory", "64Gi")),
    ("a metric that nobody has", "hpa", "metrics", edit("HorizontalPodAutoscaler", "speech-flow", lambda t: t["spec"]["metrics"][0]["pods"]["metric"].update(name="speech_flow_queue_length"))),
    ("a query of a metric that nobody has", "keda", "metrics", edit("ScaledObject", "speech-flow", lambda t: t["spec"]["triggers"][0]["metadata"].update(query="sum(speech_flow_backlog)"))),
    ("a worker that is not held to the lockfile", "4-node-cache", "pinned", lambda o: worker(o)["args"].remove("--locked")),
    ("a lockfile that is not mounted", "4-node-cache", "pinned", lambda o: worker(o).update(volumeMounts=[m for m in worker(o)["volumeMounts"] if m["name"] != "lockfile"])),
]

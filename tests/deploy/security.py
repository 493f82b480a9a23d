"""The Pod Security Standard at its level `restricted`: every rule of it, `baseline` included.

Source: pod-security-admission of Kubernetes 1.35 (one file for each rule there, one block here).
"""

from pods import containers, templates

VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"),
    # From 1.33.
    "image",
}
SYSCTLS = {
    *("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start"),
    *("net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports"),
    *("net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl"),
    *("net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"),
}
SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
HANDLERS = ("startupProbe", "readinessProbe", "livenessProbe")


def restricted(objects):
    """What the API server would refuse in a namespace with `enforce: restricted`."""
    problems = []
    levels = {
        thing["metadata"]["name"]: thing["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce")
        for thing in objects
        if thing["kind"] == "Namespace"
    }
    for thing, template in templates(objects):
        where = f"{thing['kind']}/{thing['metadata']['name']}"
        if levels.get(thing["metadata"].get("namespace")) != "restricted":
            problems.append(f"{where}: its namespace does not enforce the level `restricted`")
        problems += [f"{where}: {problem}" for problem in pod(template)]
    return problems


def pod(template):
    spec = template["spec"]
    outer = spec.get("securityContext", {})
    annotations = template.get("metadata", {}).get("annotations", {})

    # baseline: host namespaces
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield f"{field} is set"
    # baseline: hostPath; restricted: volume types
    for volume in spec.get("volumes", []):
        kinds = set(volume) - {"name"}
        if not kinds or not kinds <= VOLUMES:
            yield f"volume `{volume['name']}` is a {', '.join(sorted(kinds)) or 'volume of no type'}"
    # baseline: sysctls
    for sysctl in outer.get("sysctls", []):
        if sysctl["name"] not in SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    # baseline: AppArmor by annotation
    for key, value in annotations.items():
        if key.startswith("container.apparmor.security.beta.kubernetes.io/"):
            if value != "runtime/default" and not value.startswith("localhost/"):
                yield f"annotation {key}: {value}"
    yield from context("pod", outer)
    if spec.get("ephemeralContainers"):
        yield "ephemeral containers in a manifest"

    for container in containers(template):
        name = container["name"]
        inner = container.get("securityContext", {})
        yield from context(name, inner)
        # baseline: privileged, procMount, host ports
        if inner.get("privileged"):
            yield f"{name} is privileged"
        if inner.get("procMount", "Default") != "Default":
            yield f"{name} has procMount {inner['procMount']}"
        for port in container.get("ports", []):
            if port.get("hostPort"):
                yield f"{name} has host port {port['hostPort']}"
        # baseline: hosts of probes and hooks
        hooks = [container.get(field) for field in HANDLERS]
        hooks += list(container.get("lifecycle", {}).values())
        for hook in filter(None, hooks):
            for handler in ("httpGet", "tcpSocket"):
                if hook.get(handler, {}).get("host"):
                    yield f"{name} has a probe or hook of another host"
        # restricted: privilege escalation
        if inner.get("allowPrivilegeEscalation") is not False:
            yield f"{name} does not set allowPrivilegeEscalation to false"
        # restricted: capabilities
        capabilities = inner.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []):
            yield f"{name} does not drop ALL capabilities"
        for capability in capabilities.get("add", []):
            if capability != "NET_BIND_SERVICE":
                yield f"{name} adds the capability {capability}"
        # restricted: not root
        if inner.get("runAsNonRoot", outer.get("runAsNonRoot")) is not True:
            yield f"{name} may run as root: runAsNonRoot is not true"
        # restricted: seccomp is set
        if not inner.get("seccompProfile", outer.get("seccompProfile")):
            yield f"{name} has no seccomp profile"


def context(name, fields):
    """The rules that hold for the pod's context and for each container's."""
    # restricted: not user 0
    if fields.get("runAsUser") == 0:
        yield f"{name} runs as user 0"
    if fields.get("runAsNonRoot") is False:
        yield f"{name} sets runAsNonRoot to false"
    # baseline: seccomp, AppArmor, SELinux, host process
    profile = fields.get("seccompProfile", {}).get("type", "RuntimeDefault")
    if profile not in ("RuntimeDefault", "Localhost"):
        yield f"{name} has the seccomp profile {profile}"
    profile = fields.get("appArmorProfile", {}).get("type", "RuntimeDefault")
    if profile not in ("RuntimeDefault", "Localhost"):
        yield f"{name} has the AppArmor profile {profile}"
    selinux = fields.get("seLinuxOptions", {})
    if selinux.get("type", "") not in SELINUX_TYPES or selinux.get("user") or selinux.get("role"):
        yield f"{name} has SELinux options {selinux}"
    if fields.get("windowsOptions", {}).get("hostProcess"):
        yield f"{name} is a host process"


def hardened(objects):
    """What the standard does not ask for and we do."""
    for thing, template in templates(objects):
        where = f"{thing['kind']}/{thing['metadata']['name']}"
        if template["spec"].get("automountServiceAccountToken") is not False:
            yield f"{where}: it gets a token of the Kubernetes API"
        for container in containers(template):
            inner = container.get("securityContext", {})
            if inner.get("readOnlyRootFilesystem") is not True:
                yield f"{where}/{container['name']}: its root file system can be written to"
            resources = container.get("resources", {})
            for kind, what in (("requests", "memory"), ("requests", "cpu"), ("limits", "memory")):
                if what not in resources.get(kind, {}):
                    yield f"{where}/{container['name']}: it has no {what} in {kind}"

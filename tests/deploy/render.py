"""Renders deploy/ as its users do, with the real kubectl and helm, offline."""

import json
import pathlib
import re
import subprocess
import tempfile

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / "target/deploytools"
KUSTOMIZE = ROOT / "deploy/kubernetes"
CHART = ROOT / "deploy/helm/speech-flow"

STRATEGIES = sorted(path.parent.name for path in KUSTOMIZE.glob("overlays/*/kustomization.yaml"))

# What a strategy needs of Kubernetes: the oldest version whose schemas it is held to.
OLDEST = "1.30"
NEWEST = "1.35"
OLDEST_OF = {"3-image-volume": "1.33"}


def run(*command):
    """The output of a command; its whole complaint where it fails."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def parse(text):
    """The objects of a stream of documents. A key that stands twice is an error here, as it is for the API server."""
    return [document for document in yaml.load_all(text, Loader=Strict) if document is not None]


class Strict(yaml.SafeLoader):
    """Refuses a mapping with a key twice, of which YAML's own reader silently keeps the last."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.YAMLError(f"{sorted(twice)} stands twice{node.start_mark}")
        return super().construct_mapping(node, deep)


def overlay(name):
    return parse(run(TOOLS / "bin/kubectl", "kustomize", KUSTOMIZE / "overlays" / name))


def with_components(base, *components, images=()):
    """An overlay with further components, as a user would write it."""
    with tempfile.TemporaryDirectory(dir=KUSTOMIZE / "overlays", prefix=".check-") as folder:
        kustomization = {
            "namespace": "speech-flow",
            "resources": [f"../{base}"],
            "components": [f"../../components/{name}" for name in components],
            "images": list(images),
        }
        pathlib.Path(folder, "kustomization.yaml").write_text(json.dumps(kustomization))
        return parse(run(TOOLS / "bin/kubectl", "kustomize", folder))


GUIDES = [KUSTOMIZE / "README.md", ROOT / "docs/QUICK_START.md"]


def guide(path):
    """The overlay of a user's own, as a guide shows it."""
    example = re.search(r"```yaml\n(# kustomization.yaml\n.*?)```", path.read_text(), re.DOTALL)[1]
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".check-") as folder:
        kustomization = example.replace("deploy/kubernetes", "../deploy/kubernetes")
        pathlib.Path(folder, "kustomization.yaml").write_text(kustomization)
        objects = parse(run(TOOLS / "bin/kubectl", "kustomize", folder))
    images = {image for image in re.findall(r'"image": "([^"]*)"', json.dumps(objects))}
    if images != {"registry.example/speech-flow:0.1.0"}:
        raise SystemExit(f"the overlay in {path} does not set the image: {images}")
    return objects


def example():
    """A Python program on the volume of our workers."""
    return parse(run(TOOLS / "bin/kubectl", "kustomize", ROOT / "deploy/examples/python"))


def chart(strategy, *settings):
    arguments = [word for setting in settings for word in ("--set", setting)]
    return parse(
        run(
            *(TOOLS / "bin/helm", "template", "speech-flow", CHART, "--namespace", "speech-flow"),
            *("--set", f"strategy={strategy}", "--set", "namespace.create=true", *arguments),
        )
    )


def lint_chart():
    run(TOOLS / "bin/helm", "lint", "--strict", CHART)


def name_of(thing):
    return f"{thing['kind']}/{thing['metadata']['name']}"


HASH = re.compile(r"^(speech-flow-(?:config|lock))-[a-z0-9]{10}$")


def settled(objects):
    """The objects by name, without what Kustomize and Helm each do in their own way: the hash in the names of ConfigMaps
    and the annotation with the hash that Helm has instead, and who made them. Order is no difference either."""

    def walk(value):
        if isinstance(value, dict):
            cleaned = {key: walk(item) for key, item in value.items() if item not in ({}, [], None) or key == "podSelector"}
            annotations = cleaned.get("annotations")
            if isinstance(annotations, dict):
                for key in ("checksum/config", "checksum/lock"):
                    annotations.pop(key, None)
                if not annotations:
                    del cleaned["annotations"]
            labels = cleaned.get("labels")
            if isinstance(labels, dict):
                labels.pop("app.kubernetes.io/managed-by", None)
                labels.pop("app.kubernetes.io/instance", None)
                labels.pop("helm.sh/chart", None)
            return cleaned
        if isinstance(value, list):
            items = [walk(item) for item in value]
            if items and all(isinstance(item, dict) and ("name" in item or "mountPath" in item) for item in items):
                return sorted(items, key=lambda item: (item.get("mountPath", ""), item.get("name", "")))
            return items
        if isinstance(value, str):
            return HASH.sub(r"\1", value)
        return value

    return {name_of(thing): walk(thing) for thing in map(walk, objects)}

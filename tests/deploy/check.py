"""Checks everything in deploy/ that a cluster would read.

    check.py all FACTS          every strategy, as Kustomize and as Helm render it, and that both are the same
    check.py mutations FACTS    that every check finds what it is for
    check.py paths              what the probes ask, for the caller to ask it too: lines of `service path`

FACTS is a JSON file: what the running program says of itself (see crates/speech-flow/tests/deploy.rs).
"""

import copy
import json
import sys

import program
import render
import schemas
import security
import wiring
from mutations import MUTATIONS
from pods import places

WITHOUT_FACTS = [
    *(security.restricted, security.hardened),
    *(wiring.names, wiring.selectors, wiring.ports, wiring.reachable, wiring.volumes, wiring.writers),
    *(wiring.units, wiring.unchanging, wiring.one_handler, wiring.no_shell),
]
WITH_FACTS = [
    *(program.arguments, program.settings, program.listening, program.probes, program.endings),
    *(program.memory, program.metrics, program.pinned),
]


def problems_of(objects, facts, strategy=None):
    """Every problem, as (check, what)."""
    found = [("conforms", problem) for problem in schemas.conforms(objects, strategy)]
    for check in WITHOUT_FACTS:
        found += [(check.__name__, problem) for problem in check(objects)]
    for check in WITH_FACTS:
        found += [(check.__name__, problem) for problem in check(objects, facts)]
    return found


def variants():
    """What is rendered: every strategy, and the components that an overlay may take beside it."""
    cuda = {"name": "speech-flow-cuda", "newName": "speech-flow", "newTag": "0.1.0-cuda"}
    rendered = {strategy: render.overlay(strategy) for strategy in render.STRATEGIES}
    rendered["hpa"] = render.with_components("2-persistent-cache", "hpa")
    rendered["keda"] = render.with_components("2-persistent-cache", "keda")
    rendered["gpu"] = render.with_components("2-persistent-cache", "gpu", images=[cuda])
    return rendered


CHART_SETTINGS = {
    "hpa": ["autoscaling.kind=hpa"],
    "keda": ["autoscaling.kind=keda"],
    "gpu": ["gpu.enabled=true"],
}


def check_all(facts):
    render.lint_chart()
    count = 0
    rendered = variants()
    for name, objects in rendered.items():
        for check, problem in problems_of(objects, facts, name):
            count += 1
            print(f"{name}: {check}: {problem}")
        from_chart = render.chart("2-persistent-cache" if name in CHART_SETTINGS else name, *CHART_SETTINGS.get(name, []))
        for check, problem in problems_of(from_chart, facts, name):
            count += 1
            print(f"chart: {name}: {check}: {problem}")
        for problem in differences(render.settled(objects), render.settled(from_chart)):
            count += 1
            print(f"chart: {name}: differs from Kustomize: {problem}")
        print(f"{name}: {len(objects)} objects", file=sys.stderr)
    count += check_the_rest()
    return count


def check_the_rest():
    """The example of the secret, the folder on the nodes, the overlays that the guides show, and the Python example."""
    secret = render.parse((render.KUSTOMIZE / "base/03-secret.example.yaml").read_text())
    node_folder = render.parse(render.run(render.TOOLS / "bin/kubectl", "kustomize", render.KUSTOMIZE / "node-folder"))
    problems = schemas.conforms(secret) + schemas.conforms(node_folder)
    for path in render.GUIDES:
        problems += schemas.conforms(render.guide(path))
    python = render.example()
    for check in (schemas.conforms, security.restricted, security.hardened):
        problems += check(python)
    for container_place in places(render.overlay("2-persistent-cache")):
        for variable in container_place[2].get("env", []):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference and reference["key"] not in secret[0]["stringData"]:
                problems.append(f"{container_place[3]}: the example of the Secret has no {reference['key']}")
    for problem in problems:
        print(problem)
    return len(problems)


def differences(ours, theirs):
    for name in sorted(ours.keys() - theirs.keys()):
        yield f"the chart has no {name}"
    for name in sorted(theirs.keys() - ours.keys()):
        yield f"only the chart has {name}"
    for name in sorted(ours.keys() & theirs.keys()):
        yield from (f"{name}: {line}" for line in compare(ours[name], theirs[name], ""))


def compare(ours, theirs, path):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            yield from compare(ours.get(key), theirs.get(key), f"{path}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (one, other) in enumerate(zip(ours, theirs)):
            yield from compare(one, other, f"{path}[{index}]")
    elif ours != theirs:
        yield f"{path}: {json.dumps(ours)} in Kustomize, {json.dumps(theirs)} in the chart"


def check_mutations(facts):
    rendered = variants()
    missed = 0
    for what, strategy, check, mutate in MUTATIONS:
        objects = copy.deepcopy(rendered[strategy])
        mutate(objects)
        found = problems_of(objects, facts, strategy) if check == "conforms" else only(check, objects, facts)
        if not any(name == check for name, _ in found):
            missed += 1
            print(f"`{check}` does not see {what}; found: {found}")
    print(f"{len(MUTATIONS) - missed} of {len(MUTATIONS)} faults are found", file=sys.stderr)
    unused = {check.__name__ for check in WITHOUT_FACTS + WITH_FACTS} - {check for _, _, check, _ in MUTATIONS}
    for name in sorted(unused):
        missed += 1
        print(f"nothing shows that `{name}` can fail")
    return missed


def only(check, objects, facts):
    for function in WITHOUT_FACTS:
        if function.__name__ == check:
            return [(check, problem) for problem in function(objects)]
    function = next(function for function in WITH_FACTS if function.__name__ == check)
    return [(check, problem) for problem in function(objects, facts)]


def paths():
    asked = set()
    for objects in variants().values():
        for _, _, container, _ in places(objects):
            for probe in wiring.PROBES:
                if probe in container:
                    asked.add(f"{program.service_of(container)} {container[probe]['httpGet']['path']}")
    print("\n".join(sorted(asked)))


def main():
    if sys.argv[1:] == ["paths"]:
        return paths()
    with open(sys.argv[2], encoding="utf-8") as file:
        facts = json.load(file) | {"asked": {}}
    failed = {"all": check_all, "mutations": check_mutations}[sys.argv[1]](facts)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

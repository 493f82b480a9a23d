"""Benchmarks of model delivery. Needs nginx, curl, aria2c, and the release binary; `make bench` sees to all.

run.py all                      every benchmark at full size, recorded; then the report
run.py download|small|warm|speech|windows|server|strategies   one benchmark
run.py report                   draws the plots and writes docs/benchmarks.md from what is recorded

A run with another size or number of repetitions is a try: it prints, and records nothing.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import clients
import hub
import measure
import models
import report
import server
import speech
import strategies
import windows

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benches" / "results"
SIZES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("benchmark", choices=["all", *BENCHMARKS, "report"])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where speech is transcribed")
    parser.add_argument("--size", default="4G", help="bytes of the one large file, such as 64M (default 4G)")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--clients", default="", help="comma-separated; all that are installed by default")
    parser.add_argument("--patience", type=int, default=120, help="seconds to wait for a quiet machine")
    parser.add_argument("--record", action="store_true", help="record a run of another size too")
    parser.add_argument("--folder", default=os.environ.get("SPEECH_FLOW_BENCH_DIR"), help="where the files go")
    args = parser.parse_args()
    args.bytes = int(args.size[:-1]) * SIZES[args.size[-1]] if args.size[-1] in SIZES else int(args.size)
    args.full = args.bytes == SIZES["G"] * 4 and args.repetitions >= 5 and not args.clients

    if args.benchmark == "report":
        return report.write(ROOT)
    suffix = "-cuda" if args.device == "cuda" else ""
    work = Path(tempfile.mkdtemp(prefix="speech-flow-bench-", dir=args.folder))
    try:
        for name in list(BENCHMARKS) if args.benchmark == "all" else [args.benchmark]:
            record = {"benchmark": name, "date": time.strftime("%Y-%m-%d", time.gmtime()), "machine": measure.machine()}
            record |= {"versions": clients.versions(), **measure.wait_for_quiet(args.patience)}
            if record["busy"]:
                print(f"{name}: the machine is BUSY (load {record['load_before']}); the record says so", file=sys.stderr)
            record |= BENCHMARKS[name](args, work)
            if args.full or args.record:
                RESULTS.mkdir(exist_ok=True)
                (RESULTS / f"{name}{suffix}.json").write_text(json.dumps(record, indent=1) + "\n")
            print(report.as_text(record), flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if args.full or args.record:
        report.write(ROOT)


def download(args, work):
    """One large file: what do its bytes cost each client?"""
    repository = models.one_large(work / "one-large", args.bytes)
    with hub.Hub(work / "hub", [repository]) as server:
        chosen = clients.chosen(args.clients, ["curl", "aria2c", "hf", "speech-flow"])
        shapes = {f"one file of {args.size}": fetch_all(server, repository, chosen, args.repetitions, work)}
    return {"repetitions": args.repetitions, "shapes": shapes}


def small(args, work):
    """Many small files, and a mix: what does each file cost, beside its bytes?"""
    scale = min(1.0, args.bytes / (4 << 30)) ** 0.5
    count = max(50, int(2000 * scale))
    many = models.many_small(work / "many-small", count, 10_000)
    mixed = models.mixed(work / "mixed", scale)
    chosen = clients.chosen(args.clients, ["hf", "speech-flow"])
    shapes = {}
    with hub.Hub(work / "hub", [many, mixed]) as server:
        for title, repository in [(f"{count} files of 10 kB", many), (f"4 shards and {len(mixed.files) - 7} small files", mixed)]:
            shapes[title] = fetch_all(server, repository, chosen, args.repetitions, work)
    return {"repetitions": args.repetitions, "shapes": shapes}


def fetch_all(server, repository, chosen, repetitions, work):
    """Each client in turn, `repetitions` times round, so that a slow minute hits them all."""
    runs = {client.name: [] for client in chosen}
    commands = {}
    for repetition in range(repetitions):
        order = chosen if repetition % 2 == 0 else chosen[::-1]
        for client in order:
            target = work / "target"
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            command, environment = client.prepare(server, repository, target)
            commands[client.name] = clients.readable(command, client.shown, server, target)
            measure.sync(work)
            before = server.requests()
            run = measure.run(command, clients.environment(environment, target), target, work / "client.log")
            if run["exit"] != 0:
                tail = (work / "client.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{client.name} exited {run['exit']}:\n{tail}")
            run["sync_seconds"] = measure.sync(target)
            run["requests"] = server.requests() - before
            clients.check(client, repository, target, read=repetition == 0)
            runs[client.name].append(run)
            print(f"  {repetition + 1}/{repetitions} {client.name}: {run}", file=sys.stderr, flush=True)
    shutil.rmtree(work / "target", ignore_errors=True)
    return {
        "files": len(repository.files),
        "bytes": repository.size,
        "verified": {client.name: client.verifies for client in chosen},
        "commands": commands,
        "runs": runs,
    }


# Runs of one program in a row before the other has its turn.
WARM_ROW = 8


def warm(args, work):
    """Both models are on disk, pinned by commit: how long until a program has their folders?"""
    fixtures = ROOT / "fixtures"
    repositories = [
        models.scan("bench/tiny-whisper-ct2", fixtures / "tiny-whisper-ct2"),
        models.scan("bench/tiny-lid", fixtures / "tiny-lid"),
    ]
    whisper, lid = repositories
    cache = work / "warm-cache"
    with hub.Hub(work / "hub", repositories) as server:
        settings = {
            "HF_ENDPOINT": server.url,
            "HF_HUB_CACHE": str(cache),
            "WHISPER_CACHE_DIR": str(cache),
            "MODEL_CACHE_DIR": str(work / "warm-state"),
            "WHISPER_MODEL_NAME": whisper.name,
            "WHISPER_MODEL_REVISION": whisper.commit,
            "LID_MODEL_ID": lid.name,
            "LID_MODEL_REVISION": lid.commit,
            "HF_HUB_DISABLE_XET": "1",
        }
        environment = clients.environment(settings, work)
        ours = [clients.SPEECH_FLOW, "preload", "--all", "--json"]
        python = [sys.executable, ROOT / "tests" / "clients" / "warm_snapshot.py", cache]
        python += [f"{model.name}@{model.commit}" for model in repositories]
        # The first run fills the cache, the second fills the page cache and Python's byte code.
        for command in [ours, ours, python]:
            measure.time_only(command, environment, work)
        names = ["speech-flow", "snapshot_download"]
        walls, switched = {name: [] for name in names}, {name: [] for name in names}
        requests = dict.fromkeys(names, 0)
        inside = []
        for _ in range(args.repetitions):
            for name, command in zip(names, [ours, python]):
                # In rows: the first run of a row finds the processor's caches full of the other program's
                # data, which costs a short process much and a long one little. It is recorded apart.
                for place in range(1 + WARM_ROW):
                    before = server.requests()
                    wall, output = measure.time_only(command, environment, work)
                    (walls if place > 0 else switched)[name].append(round(wall, 5))
                    requests[name] += server.requests() - before
                    answer = json.loads(output)
                    if name == "snapshot_download":
                        inside.append(answer["resolve_seconds"])
                    elif [model["outcome"] for model in answer["models"]] != ["hit", "hit"]:
                        raise RuntimeError(f"this was no warm start: {answer}")
    medians = {name: statistics.median(values) for name, values in walls.items()}
    return {
        "repetitions": args.repetitions * WARM_ROW,
        "row": WARM_ROW,
        "commands": {
            "speech-flow": "speech-flow preload --all --json",
            "snapshot_download": "python tests/clients/warm_snapshot.py CACHE WHISPER@COMMIT LID@COMMIT",
        },
        "walls": walls,
        "switched": switched,
        "requests": requests,
        "inside_python": inside,
        "ratio": round(medians["speech-flow"] / medians["snapshot_download"], 5),
    }


BENCHMARKS = {
    "download": download,
    "small": small,
    "warm": warm,
    "speech": speech.run,
    "windows": windows.run,
    "server": server.run,
    "strategies": strategies.run,
}

if __name__ == "__main__":
    main()

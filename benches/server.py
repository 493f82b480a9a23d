"""The cache server beside nginx (`sendfile`, the same files) and beside Olah, warm: what does each byte cost?

Each server has the files before anything is measured. curl fetches the large file, one process for each client; wrk
asks for the small ones over connections that stay open. Clients and server share the machine's processors.
"""

import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import clients
import hub
import measure
import models

ROOT = Path(__file__).resolve().parent.parent
OLAH = ROOT / "target" / "clients" / "olah" / "bin"
AT_ONCE = [1, 32]
SMALL_FILES = 500
# Seconds of each run with small files.
SECONDS = 4
# What is fetched in each run of the large file, over all clients together.
COPIES = 4
PATIENCE = 120


def run(args, work):
    size = max(16 << 20, args.bytes // 8)
    large = models.one_large(work / "one-large", size)
    small = models.many_small(work / "many-small", SMALL_FILES, 10_000)
    with hub.Hub(work / "nginx", [large, small]) as files, Upstream([large, small], work) as upstream:
        with SpeechFlow(work, upstream) as ours, Olah(work, upstream) as olah:
            return measure_all([Nginx(files), ours, olah], large, small, args.repetitions, work)


def measure_all(servers, large, small, repetitions, work):
    for server in servers:
        warm(server, [large, small])
    found = {}
    size = large.files["model.safetensors"]["size"]
    for at_once in AT_ONCE:
        title = f"one file of {size >> 20} MiB, {at_once} at once"
        found[title] = turns(servers, repetitions, lambda server: fetch_large(server, large, at_once))
        title = f"files of 10 kB, {at_once} at once"
        found[title] = turns(servers, repetitions, lambda server: fetch_small(server, small, at_once, work))
    all_versions = clients.versions()
    versions = {name: all_versions[name] for name in ["nginx", "curl", "speech-flow"]}
    versions["olah"] = measure.version([OLAH / "python", "-c", "import importlib.metadata as m; print(m.version('olah'))"])
    versions["wrk"] = wrk_version()
    peaks = {server.name: server.peak_memory() for server in servers}
    return {"repetitions": repetitions, "versions": versions, "shapes": found, "peaks": peaks}


def turns(servers, repetitions, measured):
    """Each server in turn, so that a slow minute hits them all."""
    runs = {server.name: [] for server in servers}
    for repetition in range(repetitions):
        for server in servers if repetition % 2 == 0 else servers[::-1]:
            before = server.cpu_seconds()
            run = measured(server)
            run["cpu_seconds"] = round(server.cpu_seconds() - before, 4)
            runs[server.name].append(run)
            print(f"  {server.name}: {run}", file=sys.stderr, flush=True)
    return runs


def fetch_large(server, repository, at_once):
    """The whole file, so often in all that each server sends the same number of bytes."""
    url = server.url + server.path_of(repository, "model.safetensors")
    # One client fetches one after another.
    each = max(1, COPIES // at_once)
    command = ["curl", "-sSf", *itertools.chain.from_iterable(["-o", "/dev/null", url] for _ in range(each))]
    start = time.perf_counter()
    processes = [subprocess.Popen(command) for _ in range(at_once)]
    codes = [process.wait() for process in processes]
    wall = time.perf_counter() - start
    if any(codes):
        raise RuntimeError(f"{server.name}: curl exited {max(codes)}")
    return {"wall_seconds": round(wall, 4), "bytes": repository.files["model.safetensors"]["size"] * each * at_once, "requests": each * at_once}


def fetch_small(server, repository, at_once, work):
    script = work / "paths.lua"
    paths = [server.path_of(repository, path) for path in repository.files if path.startswith("parts/")]
    script.write_text(
        "local paths = {" + ",".join(json.dumps(path) for path in paths) + "}\nlocal at = 0\n"
        "request = function() at = at % #paths + 1 return wrk.format('GET', paths[at]) end\n"
        "done = function(summary, latency, requests) io.write(string.format("
        "'RESULT %d %d %d %d %d\\n', summary.requests, summary.bytes, summary.duration, "
        "summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout + summary.errors.status, "
        "latency:percentile(99))) end\n"
    )
    command = ["wrk", "-t1", f"-c{at_once}", f"-d{SECONDS}s", "--timeout", "10s", "-s", str(script), server.url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    requests, size, duration, errors, p99 = map(int, re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout).groups())
    if errors:
        raise RuntimeError(f"{server.name}: {errors} of {requests} requests failed")
    return {"wall_seconds": round(duration / 1e6, 4), "bytes": size, "requests": requests, "p99_ms": round(p99 / 1000, 3)}


def warm(server, repositories):
    """Fetches every file twice, and looks at its bytes: nobody is measured who sends wrong ones."""
    for repository in repositories:
        with urllib.request.urlopen(f"{server.url}/api/models/{repository.name}/revision/main", timeout=PATIENCE) as answer:
            server.commits[repository.name] = json.load(answer)["sha"]
    for repository in repositories:
        for path, entry in repository.files.items():
            for _ in range(2):
                with urllib.request.urlopen(server.url + server.path_of(repository, path), timeout=PATIENCE) as answer:
                    digest = models.digest_of(answer)
            if digest != entry["sha256"]:
                raise RuntimeError(f"{server.name} sends a wrong `{path}`")


class Served:
    """A server's process and what it costs."""

    name = ""
    process = None

    def __init__(self, url):
        self.url = url
        # What clients are told that `main` is, and then ask for.
        self.commits = {}

    def path_of(self, repository, path):
        return f"/{repository.name}/resolve/{self.commits[repository.name]}/{path}"

    def start(self, command, environment, folder):
        self.log = folder / f"{self.name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([str(word) for word in command], env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        self.wait_until_open()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(timeout=30)

    def wait_until_open(self):
        address = tuple(self.url.removeprefix("http://").split(":"))
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(address, timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"{self.name} did not start: {self.log.read_text()[-2000:]}")

    def processes(self):
        """The process and its children."""
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                found.extend(int(child) for child in task.read_text().split())
        return found

    def cpu_seconds(self):
        ticks = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def peak_memory(self):
        return sum(measure.high_water_mark(pid) for pid in self.processes())


class Nginx(Served):
    name = "nginx"

    def __init__(self, files):
        super().__init__(files.url)
        self.process = files.process


class Upstream(Served):
    """A hub for the others. nginx does not do: Olah asks for more than files and listings."""

    name = "hub"

    def __init__(self, repositories, work):
        port = hub.free_port()
        super().__init__(f"http://127.0.0.1:{port}")
        options = [word for repository in repositories for word in ("--repo", f"{repository.name}={repository.folder}")]
        command = [clients.SPEECH_FLOW, "demo-hub", "--no-models", "--listen", f"127.0.0.1:{port}", *options]
        self.start(command, clients.environment({}, work), work)


class SpeechFlow(Served):
    name = "speech-flow"

    def __init__(self, work, upstream):
        port = hub.free_port()
        super().__init__(f"http://127.0.0.1:{port}")
        variables = {"HF_ENDPOINT": upstream.url, "MODEL_CACHE_DIR": str(work / "server-cache")}
        command = [clients.SPEECH_FLOW, "serve", "--listen", f"127.0.0.1:{port}"]
        self.start(command, clients.environment(variables, work), work)


class Olah(Served):
    name = "Olah"

    def __init__(self, work, upstream):
        port = hub.free_port()
        super().__init__(f"http://127.0.0.1:{port}")
        address = upstream.url.removeprefix("http://")
        folder = work / "olah"
        folder.mkdir()
        options = ["--host", "127.0.0.1", "--port", port, "--hf-scheme", "http", "--hf-netloc", address, "--hf-lfs-netloc", address]
        options += ["--mirror-scheme", "http", "--mirror-netloc", f"127.0.0.1:{port}", "--mirror-lfs-netloc", f"127.0.0.1:{port}"]
        # What has been fetched is fresh for as long as the run takes, as ours is for a commit.
        options += ["--repos-path", folder / "repos", "--log-path", folder / "logs", "--metadata-cache-ttl", "3600"]
        self.start([OLAH / "olah-cli", *options], clients.environment({}, work), folder)


def wrk_version():
    said = subprocess.run([shutil.which("wrk"), "-v"], capture_output=True, text=True).stdout
    return said.split()[1] if said else "absent"


def rate(shape, run):
    """What a shape is judged by: bytes where there are many, requests where there are few."""
    return run["bytes"] / run["wall_seconds"] / 1e6 if shape.startswith("one file") else run["requests"] / run["wall_seconds"]


def report_lines(record):
    """The section of docs/benchmarks.md."""
    lines = [
        "Every server has the files already. nginx serves them from their folder with `sendfile`, one worker; speech-flow "
        "and Olah (its defaults, one process) are asked as a hub, by commit. curl fetches the large file, a process for each "
        "client; wrk asks for small files over open connections. Clients and server share the processors. A gigabyte is 10⁹ bytes.\n",
        "| files | server | rate | beside nginx | CPU, s for each GB | promised |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for shape, runs in record["shapes"].items():
        unit = "MB/s" if shape.startswith("one file") else "requests/s"
        rates = {name: measure.summary([rate(shape, run) for run in found]) for name, found in runs.items()}
        for name, found in runs.items():
            costs = measure.summary([run["cpu_seconds"] / max(run["bytes"], 1) * 1e9 for run in found])
            ratio = rates[name]["median"] / rates["nginx"]["median"]
            value = rates[name]
            spread = f"**{value['median']:.0f}** ({value['least']:.0f} to {value['most']:.0f}) {unit}"
            lines.append(f"| {shape} | {name} | {spread} | {ratio:.2f} | {costs['median']:.2f} | {promise(shape, name, rates)} |")
    peaks = ", ".join(f"{name} {peak / (1 << 20):.0f} MiB" for name, peak in record["peaks"].items())
    lines.append(f"\nMedian (least to most). Peak memory over all runs: {peaks}.\n")
    return lines


def promise(shape, name, rates):
    if name != "speech-flow":
        return ""
    ahead = rates[name]["median"] / max(rates["Olah"]["median"], 1e-9)
    beside = "at least 0.8 of nginx, " if shape.startswith("one file") else ""
    return f"{beside}ahead of Olah: {ahead:.1f} times"

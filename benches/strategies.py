"""From the start of a pod to its first `200` at `/readyz`, for each strategy of `deploy/kubernetes`.

The model has 3 GB and the hub is behind a link of 1 Gbit/s: a network namespace of its own, whose link `tc` limits (the
hub's nginx could only limit each connection). Processes stand for the containers, with the arguments and the variables
of the manifests. The worker's volume is mounted read-only. Needs root.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import clients
import hub
import measure
import models

ROOT = Path(__file__).resolve().parent.parent
RATE_MBIT = 1000
# Of the model: what `Systran/faster-whisper-large-v3` has.
SIZE = 3_087_284_237
PATIENCE = 600
COLD, WARM = "1: run-time download", "2: persistent cache, warm volume"


def run(args, work):
    if os.geteuid() != 0:
        raise RuntimeError("strategies: a link of a hub's own needs root")
    # The size that is asked for is that of the other benchmarks; a smaller one is a try here as well.
    size = SIZE * args.bytes // (4 << 30)
    model = models.whisper(work / "whisper", ROOT / "fixtures" / "tiny-whisper-v3-ct2", size)
    # The lockfile names the models of a configuration, and that has two; nobody fetches this one.
    other = models.scan("bench/lid", ROOT / "fixtures" / "tiny-lid")
    with Link() as link, hub.Hub(work / "nginx", [model, other], link.address, link.prefix) as files:
        cluster = Cluster(work, files.url)
        cluster.lock()
        phases = {}
        runs = measure_all(cluster, args.repetitions, phases)
        versions = {name: text for name, text in clients.versions().items() if name in ("nginx", "speech-flow")}
        return {"repetitions": args.repetitions, "bytes": model.size, "rate_mbit": RATE_MBIT, "runs": runs, "phases": phases, "versions": versions}


def measure_all(cluster, repetitions, phases):
    """Every way in turn, so that a slow minute hits them all."""
    runs = {}

    def record(name, seconds, said=None):
        runs.setdefault(name, []).append(round(seconds, 3))
        if said:
            phases.setdefault(name, []).append(said)
        print(f"  {name}: {seconds:.2f} s {said or ''}", file=sys.stderr, flush=True)

    for _ in range(repetitions):
        cluster.remove("pod", "volume", "node", "server")
        record(COLD, *cluster.worker("pod", {}, read_only=False))
        cluster.remove("pod")
        record("the Job of 2 that fills the volume", cluster.preload("volume", {}))
        cluster.forget_pages("volume")
        record("2: the same, first use on its node", *cluster.worker("volume", OFFLINE))
        record(WARM, *cluster.worker("volume", OFFLINE))
        with cluster.server() as server:
            cached = {"HF_ENDPOINT": server}
            hybrid = cached | {"SPEECH_FLOW_FALLBACK_ENDPOINT": cluster.hub, "MODEL_DOWNLOAD_MAX_RETRIES": "1"}
            record("5: volume lost, cache server cold", *cluster.pod("node", hybrid))
            cluster.remove("node")
            record("5: volume lost, cache server warm", *cluster.pod("node", hybrid))
            cluster.remove("node")
            record("4: node cache, cold node, cache server warm", *cluster.pod("node", cached))
            record("4: node cache, warm node", *cluster.pod("node", cached))
            record("5: hybrid, warm volume", *cluster.pod("volume", hybrid))
        cluster.remove("node")
        record("5: volume lost, no cache server: the hub", *cluster.pod("node", hybrid))
    return runs


# A worker whose volume has been filled makes no request.
OFFLINE = {"HF_HUB_OFFLINE": "1"}


class Cluster:
    """Folders that stand for volumes, and containers that use them."""

    def __init__(self, work, hub_url):
        self.work = work
        self.hub = hub_url
        self.lockfile = work / "speech-flow.lock"

    def environment(self, volume, variables):
        own = {"HF_ENDPOINT": self.hub, "MODEL_CACHE_DIR": str(self.work / volume), "WHISPER_MODEL_NAME": "bench/whisper"}
        own |= {"LID_MODEL_ID": "bench/lid", "WHISPER_COMPUTE_TYPE": "int8", "SPEECH_FLOW_LOCKFILE": str(self.lockfile), "SPEECH_FLOW_LOG": "info", "SPEECH_FLOW_LOG_FORMAT": "json"}
        return clients.environment(own | {"SPEECH_FLOW_LEASE_DIR": str(self.work / "leases")} | variables, self.work)

    def container(self, arguments, environment):
        """Runs one to its end; the seconds that it took."""
        start = time.perf_counter()
        done = subprocess.run([clients.SPEECH_FLOW, *arguments], env=environment, cwd=self.work, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{arguments}: exit {done.returncode}\n{done.stderr[-3000:]}")
        return time.perf_counter() - start

    def lock(self):
        self.container(["lock"], self.environment("author", {}))
        self.remove("author")

    def preload(self, volume, variables):
        return self.container(["preload", "--locked", "--prepare", "--whisper"], self.environment(volume, variables))

    def pod(self, volume, variables):
        """An init container that makes the model ready, and the worker after it."""
        before = self.preload(volume, variables)
        seconds, said = self.worker(volume, OFFLINE)
        return before + seconds, {"init": round(before, 3)} | said

    def worker(self, volume, variables, read_only=True):
        """Seconds until it is ready, and what each phase of its start took; then it ends."""
        folder = self.work / volume
        folder.mkdir(exist_ok=True)
        command = [clients.SPEECH_FLOW, "worker", "whisper", "--listen", "127.0.0.1:0", *(["--locked"] if read_only else [])]
        if read_only:
            mounts = f"mount --bind '{folder}' '{folder}' && mount -o remount,bind,ro '{folder}' && exec \"$@\""
            command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounts, "sh", *command]
        log = self.work / "worker.log"
        start = time.perf_counter()
        with log.open("wb") as errors:
            process = subprocess.Popen(command, env=self.environment(volume, variables), cwd=self.work, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            url = process.stdout.readline().strip()
            while not is_ready(url):
                if process.poll() is not None or time.perf_counter() - start > PATIENCE:
                    raise RuntimeError(f"the worker is not ready:\n{log.read_text()[-3000:]}")
                time.sleep(0.005)
            seconds = time.perf_counter() - start
        finally:
            process.terminate()
            process.wait(timeout=60)
        return seconds, phases_in(log.read_text())

    @contextlib.contextmanager
    def server(self):
        """The cache server, whose folder is empty at first."""
        port = hub.free_port()
        environment = self.environment("server", {})
        command = [clients.SPEECH_FLOW, "serve", "--listen", f"127.0.0.1:{port}"]
        with (self.work / "server.log").open("wb") as log:
            process = subprocess.Popen(command, env=environment, cwd=self.work, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            while not is_ready(url):
                if process.poll() is not None:
                    raise RuntimeError("the cache server does not start: " + (self.work / "server.log").read_text()[-3000:])
                time.sleep(0.05)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=60)

    def remove(self, *volumes):
        for volume in volumes:
            shutil.rmtree(self.work / volume, ignore_errors=True)

    def forget_pages(self, volume):
        """The volume's files are on the disk, and not in memory, as on a node that has not read them."""
        subprocess.run(["sync", "-f", self.work], check=True)
        for path in (self.work / volume).rglob("*"):
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Link:
    """A network namespace whose link to this machine is limited in both directions, and gone at the end."""

    def __enter__(self):
        number = os.getpid() % 250
        self.name, here, there = f"sf-{os.getpid()}", f"sfh{os.getpid()}", f"sft{os.getpid()}"
        self.address = f"10.213.{number}.2"
        self.prefix = ["ip", "netns", "exec", self.name]
        try:
            ip("netns", "add", self.name)
            ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", self.name)
            ip("addr", "add", f"10.213.{number}.1/30", "dev", here)
            ip("link", "set", here, "up")
            ip("-n", self.name, "addr", "add", f"{self.address}/30", "dev", there)
            ip("-n", self.name, "link", "set", there, "up")
            limit = ["root", "tbf", "rate", f"{RATE_MBIT}mbit", "burst", "256kb", "latency", "50ms"]
            subprocess.run(["tc", "qdisc", "add", "dev", here, *limit], check=True)
            subprocess.run(["tc", "-n", self.name, "qdisc", "add", "dev", there, *limit], check=True)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # Its end of the link goes with it, and with that the other end.
        subprocess.run(["ip", "netns", "del", self.name], check=False)


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def is_ready(url):
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError, ValueError):
        return False


def phases_in(log):
    """Seconds of each phase of a start, by the worker's own log."""
    found = {}
    for line in log.splitlines():
        if phase := re.search(r'"phase":"(\S+?)"', line):
            if took := re.search(r'"elapsed_ms":(\d+)', line):
                found[phase[1]] = int(took[1]) / 1000
    return found


def saved(runs):
    """The part of the cold start that the warm volume saves."""
    return 1 - measure.summary(runs[WARM])["median"] / measure.summary(runs[COLD])["median"]


def report_lines(record):
    """The section of docs/benchmarks.md."""
    runs = record["runs"]
    lines = [
        f"A Whisper model of {record['bytes'] / 1e9:.2f} GB in float16, loaded in int8, behind a hub whose link is limited to "
        f"{record['rate_mbit'] / 1000:g} Gbit/s. Its weights are those of the demo's small model, and random ones beside them: all "
        "are fetched, hashed, converted and loaded, but an answer is as fast as the small model's. So the times are those of "
        "delivery and loading, without what the first answer of a large model takes on this processor. The time is from the "
        "start of the pod's first process to the first `200` at `/readyz`, init container included. Workers mount the volume "
        "read-only. The volume is a local disk, and the cache server is on the same machine, without a limit.\n",
        "| strategy | start to ready, s | of the cold start | phases of the first run, s |",
        "| --- | --- | --- | --- |",
    ]
    cold = measure.summary(runs[COLD])["median"]
    for name, seconds in runs.items():
        value = measure.summary(seconds)
        phases = ", ".join(f"{phase} {took:.2f}" for phase, took in (record["phases"].get(name) or [{}])[0].items())
        lines.append(
            f"| {name} | **{value['median']:.2f}** ({value['least']:.2f} to {value['most']:.2f}) | {100 * value['median'] / cold:.1f} % | {phases} |"
        )
    lines.append(f"\nMedian (least to most). The warm volume cuts {100 * saved(runs):.1f} % of the start (promised: at least 90 %).\n")
    return lines

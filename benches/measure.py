"""Runs one command and says what it cost: wall time, CPU seconds, peak memory."""

import contextlib
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path


def run(command, environment, folder, log):
    """Runs `command`; CPU seconds are those of its whole process tree."""
    with open(log, "ab") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
        peak = 0
        pause = 0.002
        while True:
            # `ru_maxrss` would not do: a child starts with the high-water mark of the Python that forks it.
            peak = max(peak, high_water_mark(process.pid))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(pause)
            pause = min(pause * 1.5, 0.02)
        wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    return {
        "exit": process.returncode,
        "wall_seconds": round(wall, 4),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 4),
        "user_seconds": round(usage.ru_utime, 4),
        "system_seconds": round(usage.ru_stime, 4),
        "peak_memory_bytes": peak,
    }


def time_only(command, environment, folder):
    """The wall time of a short command, without looking at it while it runs.

    Spawned as a shell would: `subprocess` adds about a millisecond of its own, a third of what is measured.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors, contextlib.chdir(folder):
        streams = [(os.POSIX_SPAWN_DUP2, file.fileno(), stream) for file, stream in [(output, 1), (errors, 2)]]
        start = time.perf_counter()
        pid = os.posix_spawnp(command[0], command, environment, file_actions=streams)
        _, status = os.waitpid(pid, 0)
        wall = time.perf_counter() - start
        output.seek(0)
        errors.seek(0)
        answer, said = output.read(), errors.read()
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        raise RuntimeError(f"{command} exited {code}: {said.decode(errors='replace')}")
    return wall, answer


def high_water_mark(pid):
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def sync(path):
    """Seconds until all that was written is on the disk, for clients that leave that to the kernel.

    One call for the whole file system: a call for each of many small files would cost more than the writing.
    """
    start = time.perf_counter()
    subprocess.run(["sync", "-f", path], check=True)
    return round(time.perf_counter() - start, 4)


def summary(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values), "runs": len(values)}


def busy():
    """The load average, and whether other work would spoil a measurement."""
    load = os.getloadavg()[0]
    return round(load, 2), load > 0.3 * os.cpu_count()


def wait_for_quiet(patience):
    """Waits up to `patience` seconds for the machine to be quiet; the answer goes into the record."""
    deadline = time.monotonic() + patience
    load, is_busy = busy()
    while is_busy and time.monotonic() < deadline:
        time.sleep(5)
        load, is_busy = busy()
    return {"load_before": load, "busy": is_busy}


def machine():
    """What a reader needs to judge the numbers."""
    processor = platform.processor() or platform.machine()
    flags = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.split(":", 1)[1].strip()
        if line.startswith(("flags", "Features")):
            flags = line
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "sha_instructions": "sha_ni" in flags or "sha2" in flags,
        "memory_gib": round(int(memory.split()[1]) / (1 << 20), 1),
        "kernel": ".".join(platform.release().split(".")[:2]),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "Linux"),
    }


def version(command):
    """The version that a program prints about itself."""
    if not shutil.which(str(command[0])):
        return "absent"
    done = subprocess.run(command, capture_output=True, text=True)
    line = (done.stdout + done.stderr).strip().splitlines()[0]
    # The first word with a digit ends it: what follows is a list of libraries.
    words = line.replace("nginx/", "nginx ").split()
    end = next((index for index, word in enumerate(words) if any(c.isdigit() for c in word) and "aria2" not in word), 0)
    return words[end]

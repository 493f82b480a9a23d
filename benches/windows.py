"""Windows fitted to their sound beside full ones: what they save, and what they cost in words.

The speech is real: that of Debian's package `pocketsphinx-testdata`, sentences of a LibriVox reading and short commands,
each alone, and the sentences in pairs with a pause between them.
"""

import itertools
import json
import re
import sys
import wave
from pathlib import Path

import clients
import measure
import speech

DATA = Path("/usr/share/pocketsphinx/test/data")
PAUSE = b"\0\0" * 4800
# The transcripts spell numbers out, and one of them has a word that is not spoken.
NUMBERS = dict(zip("0123456789", "zero one two three four five six seven eight nine".split(), strict=True)) | {"10": "ten"}
SPELLED = {"mr": "mister", "more a amiable": "more amiable"}


def run(args, work):
    """Word error rate and CPU seconds of both kinds of windows, by `speech-flow transcribe` on all clips."""
    if not DATA.is_dir():
        raise RuntimeError(f"{DATA} is missing: install Debian's package pocketsphinx-testdata")
    said = write_clips(work / "spoken")
    seconds = sum(length(path) for path in said)
    found = {}
    for compute_type, window in itertools.product(["int8", "float32"], ["full", "fitted"]):
        command = [clients.SPEECH_FLOW, "transcribe", "--json", "--model", speech.folder_of("tiny.en"), "--device", "cpu"]
        command += ["--compute-type", compute_type, "--option", f'encoder_window="{window}"', "--option", "temperature=0"]
        environment = clients.environment({"MODEL_CACHE_DIR": str(work), "HF_HUB_OFFLINE": "1"}, work)
        log = work / "transcripts.json"
        done = measure.run([str(word) for word in [*command, *said]], environment, work, log)
        text = log.read_text()
        # What it says beside its answer is in the same file.
        answer, _ = json.JSONDecoder().raw_decode(text[text.index("{") :])
        errors = words = 0
        for result in answer["results"]:
            expected = said[Path(result["file"])]
            errors += distance(spoken(result["text"]), expected)
            words += len(expected)
        found[f"{compute_type}, {window}"] = {
            "word_error_rate": round(100 * errors / words, 2),
            "cpu_seconds": done["cpu_seconds"],
            "peak_memory_bytes": done["peak_memory_bytes"],
        }
        print(f"  {compute_type}, {window}: {found[f'{compute_type}, {window}']}", file=sys.stderr, flush=True)
    return {"repetitions": 1, "clips": len(said), "words": words, "audio_seconds": round(seconds, 1), "windows": found}


def write_clips(folder):
    """Recordings of 16 kHz with the words that are said in them."""
    folder.mkdir()
    parts = {}
    for name, files in [("librivox", "librivox/transcription"), ("cards", "cards/cards.transcription")]:
        for text, stem in re.findall(r"<s> (.*?) </s> \((.*?)\)", (DATA / files).read_text()):
            with wave.open(str(DATA / name / f"{stem}.wav")) as file:
                parts[stem] = (name, file.readframes(file.getnframes()), spoken(text))
    parts["goforward"] = ("raw", (DATA / "goforward.raw").read_bytes(), spoken("go forward ten meters"))
    said = {}
    for stem, (_, samples, words) in parts.items():
        said[write(folder / f"{stem}.wav", samples)] = words
    sentences = [part for part in parts.items() if part[1][0] == "librivox"]
    for (first, (_, one, left)), (second, (_, two, right)) in itertools.permutations(sentences, 2):
        said[write(folder / f"{first[-4:]}-{second[-4:]}.wav", one + PAUSE + two)] = left + right
    return said


def write(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples)
    return path


def length(path):
    with wave.open(str(path)) as file:
        return file.getnframes() / file.getframerate()


def spoken(text):
    """Words as they are spoken."""
    text = re.sub(r"[^a-z0-9 ]", " ", text.lower())
    for written, said in SPELLED.items():
        text = re.sub(rf"\b{written}\b", said, text)
    return [NUMBERS.get(word, word) for word in text.split()]


def distance(found, expected):
    """Words to insert, delete or replace. Source: Wagner and Fischer, 1974."""
    row = list(range(len(expected) + 1))
    for index, word in enumerate(found, 1):
        diagonal, row[0] = row[0], index
        for place, other in enumerate(expected, 1):
            diagonal, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, diagonal + (word != other))
    return row[-1]


def report_lines(record):
    """The section of docs/benchmarks.md."""
    lines = [
        f"The real `tiny.en` on {record['clips']} recordings of real speech, {record['audio_seconds']} s with {record['words']} words "
        "(Debian's `pocketsphinx-testdata`), by `speech-flow transcribe --option encoder_window=…`, temperature 0, beam 5; "
        "whole processes with their start.\n",
        "| window | word error rate, % | CPU, s | peak memory, MiB |",
        "| --- | --- | --- | --- |",
    ]
    for name, run in record["windows"].items():
        lines.append(
            f"| {name} | {run['word_error_rate']} | {run['cpu_seconds']:.1f} | {run['peak_memory_bytes'] / (1 << 20):.0f} |"
        )
    return [*lines, ""]

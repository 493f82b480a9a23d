"""Goldens for the tests of this crate, made with faster-whisper: run with its Python, in this folder.

python make.py FIXTURES
    whisper.json    what faster-whisper transcribes from the clips in FIXTURES/audio, with several options
    tokenizer.json  what its tokenizer makes of random texts and tokens
    zlib.json       lengths of compressed texts
"""
import json
import os
import random
import sys
import zlib

import numpy
import tokenizers
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.audio import decode_audio
from faster_whisper.tokenizer import Tokenizer

FIXTURES = sys.argv[1]
# Not de02.webm: ffmpeg cuts 2 ms off its start and Opus wants 6.5 ms cut, which these models hear.
CLIPS = ["en05.wav", "en06.mp3", "en07.ogg", "en09.44k-stereo.flac", "es02.m4a", "fr02.48k-f32.wav"]


def save(name, value):
    with open(name, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")


def case(name, model, audio, batch_size=None, **options):
    """`audio`: clips one after another, with seconds of silence between."""
    return {"name": name, "model": model, "audio": audio, "batch_size": batch_size, "options": options}


# Lossless mono clips at 16 kHz, so that the samples do not depend on a decoder.
LONG = ["en05.wav", 1.5, "en12.flac", 4.0, "en04.flac", 0.3] * 2 + ["lid-eng.flac", 12.0, "en05.wav"]
TINY, LARGE = "tiny-whisper-ct2", "tiny-whisper-v3-ct2"
WORDS = {"word_timestamps": True}
CASES = [
    *[case(f"{clip}, beam {beam}", TINY, [clip], beam_size=beam) for clip in CLIPS for beam in (1, 5)],
    *[case(f"words of {clip}", TINY, [clip], **WORDS) for clip in CLIPS],
    *[case(f"128 bins, {clip}", LARGE, [clip], **WORDS) for clip in CLIPS],
    case("silence", TINY, [3.0]),
    case("nothing", TINY, [0.0]),
    *[case(f"long, beam {beam}", TINY, LONG, beam_size=beam) for beam in (1, 5)],
    case("long, words", TINY, LONG, **WORDS),
    case("long, speech", TINY, LONG, vad_filter=True),
    case("long, speech, words", TINY, LONG, vad_filter=True, vad_parameters={"min_silence_duration_ms": 500}, **WORDS),
    case("no speech to transcribe", TINY, [3.0], vad_filter=True),
    case("without previous text", TINY, LONG, condition_on_previous_text=False),
    case("without timestamps", TINY, LONG, without_timestamps=True),
    case("translation", TINY, ["fr02.48k-f32.wav"], task="translate"),
    case("hallucinations", TINY, LONG, hallucination_silence_threshold=0.5, **WORDS),
    case("clips", TINY, LONG, clip_timestamps="1,4.5,20", **WORDS),
    case("short windows", TINY, LONG, chunk_length=8, **WORDS),
    case("every window its language", TINY, ["en05.wav", 3.0, "fr02.48k-f32.wav"], multilingual=True, chunk_length=4),
    case("a vote on the language", TINY, LONG, language_detection_segments=3, language_detection_threshold=0.99999),
    case("prompt", TINY, LONG, initial_prompt="The key is under the table."),
    case("prompt of tokens", TINY, ["en05.wav"], initial_prompt=[20, 40, 60]),
    case("prefix", TINY, ["en05.wav"], prefix="The green"),
    case("hotwords", TINY, LONG, hotwords="green letter, table"),
    case("penalties", TINY, LONG, length_penalty=0.6, repetition_penalty=1.2, no_repeat_ngram_size=3, patience=2.0),
    case("suppression", TINY, ["en05.wav"], suppress_tokens=[-1, 300, 301], suppress_blank=False),
    case("no suppression", TINY, LONG, suppress_tokens=[]),
    case("few tokens", TINY, LONG, max_new_tokens=12),
    case("failures", TINY, LONG, temperature=[0.0, 0.0], log_prob_threshold=-0.3, prompt_reset_on_temperature=-1.0),
    case("repetitions", TINY, LONG, temperature=[0.0, 0.0], compression_ratio_threshold=0.8),
    case("no thresholds", TINY, LONG, log_prob_threshold=None, no_speech_threshold=None, max_initial_timestamp=0.1),
    case("batched", TINY, LONG, 4),
    case("batched, words", TINY, LONG, 3, without_timestamps=False, language="en", **WORDS),
    case("batched, short pieces", TINY, LONG, 8, chunk_length=5, hotwords="green letter", **WORDS),
    case("batched, one piece", TINY, ["en05.wav"], 1, vad_filter=False, initial_prompt="The key"),
    case("batched, clips", TINY, LONG, 2, clip_timestamps=[{"start": 0, "end": 4}, {"start": 9.5, "end": 30}]),
]


def samples(parts):
    """Samples of clips and silence, one after another."""
    return numpy.concatenate([
        numpy.zeros(int(part * 16000), numpy.float32) if isinstance(part, float)
        else decode_audio(os.path.join(FIXTURES, "audio", part)) for part in parts])


def rounded(segment):
    """What a test compares of a segment."""
    words = segment.words and [[word.word, round(word.start, 2), round(word.end, 2), round(word.probability, 5)]
                               for word in segment.words]
    return {"seek": segment.seek, "start": round(segment.start, 3), "end": round(segment.end, 3),
            "text": segment.text, "tokens": segment.tokens, "avg_logprob": round(segment.avg_logprob, 6),
            "compression_ratio": segment.compression_ratio, "no_speech_prob": round(segment.no_speech_prob, 6),
            "temperature": segment.temperature, "words": words}


def transcriptions():
    """The cases with their results."""
    for asked in CASES:
        # A model for each: the extractor keeps the chunk length of an earlier call.
        model = WhisperModel(os.path.join(FIXTURES, asked["model"]), device="cpu", compute_type="float32", cpu_threads=1)
        options = {"temperature": 0.0, **asked["options"]}
        if asked["batch_size"]:
            # The pipeline takes options out of what it is given.
            options = json.loads(json.dumps(options))
            pipeline = BatchedInferencePipeline(model)
            segments, info = pipeline.transcribe(samples(asked["audio"]), batch_size=asked["batch_size"], **options)
        else:
            segments, info = model.transcribe(samples(asked["audio"]), **options)
        segments = [rounded(segment) for segment in segments]
        asked["options"].setdefault("temperature", 0.0)
        if "suppress_tokens" in asked["options"]:
            # faster-whisper extends the list that it is given.
            asked["options"]["suppress_tokens"] = [token for token in options["suppress_tokens"] if token in ASKED]
        languages = info.all_language_probs and [[code, round(value, 6)] for code, value in info.all_language_probs[:3]]
        yield {**asked, "language": info.language, "language_probability": info.language_probability,
               "languages": languages, "duration_after_vad": info.duration_after_vad, "segments": segments}


# Tokens to suppress that some case asks for.
ASKED = {-1, 300, 301}

POOL = ("abcdefghijklmnopqrstuvwxyzABCDEFG0123456789      '''.,!?-\n\t\"()[]{}♪äöüßéñ中文日本語ไทยລາວမန한국어🎵👍"
        "\u0301\u200d\u00a0\u3000²①Ⅷªº€\x00\x1c\u202f")
WORDS_OF_TEXT = ["it's", "I'll", "we've", "don't", "the", "  ", "\n\n", "<|en|>", "<|notimestamps|>", "<|0.00|>",
                 "<|startoftranscript|>", "<|endoftext|>", "♪♪", "((", "--", "'s", "'LL", " The green key", "Fünf",
                 "garage", "über", "日本語", "ไทย"]


def random_text(source):
    """A text of words and characters that tokenizers treat in their own ways."""
    return "".join(source.choice(WORDS_OF_TEXT) if source.random() < 0.25 else source.choice(POOL)
                   for _ in range(source.randrange(25)))


def tokenizer_goldens(folder, count):
    """Random texts and tokens with what the tokenizer makes of them."""
    source = random.Random(7)
    inner = tokenizers.Tokenizer.from_file(os.path.join(FIXTURES, folder, "tokenizer.json"))
    texts = [random_text(source) for _ in range(count)]
    encode = [{"text": text, "ids": inner.encode(text, add_special_tokens=False).ids} for text in texts]
    decode = []
    for language in ("en", "ja"):
        outer = Tokenizer(inner, True, "transcribe", language)
        for _ in range(count):
            ids = [source.randrange(outer.eot if source.random() < 0.9 else outer.timestamp_begin + 60)
                   for _ in range(source.randrange(14))]
            words, tokens = outer.split_to_word_tokens(ids + [outer.eot])
            decode.append({"lang": language, "ids": ids, "text": outer.decode(ids),
                           "with_ts": outer.decode_with_timestamps(ids), "words": words, "word_tokens": tokens})
    special = [outer.eot, outer.sot, outer.transcribe, outer.translate, outer.sot_lm, outer.sot_prev,
               outer.no_speech, outer.no_timestamps, outer.timestamp_begin]
    return {"folder": folder, "special": special, "non_speech": list(outer.non_speech_tokens), "encode": encode,
            "decode": decode}


def compressed_lengths():
    """Texts with the length that zlib gives them."""
    source = random.Random(3)
    words = ["the", "green", "key", " is", "under", "table", "Fünf", "中文", "la la la", " ", "é", "."]
    for count in (0, 1, 2, 5, 10, 30, 60, 120, 250, 500):
        for _ in range(3):
            some = words[:source.randrange(1, len(words)) + 1]
            text = " ".join(source.choice(some) for _ in range(count))
            yield [text, len(zlib.compress(text.encode()))]
        text = "".join(chr(source.randrange(32, 0x2000)) for _ in range(count))
        yield [text, len(zlib.compress(text.encode()))]


save("whisper.json", list(transcriptions()))
save("tokenizer.json", [tokenizer_goldens(TINY, 150), tokenizer_goldens(LARGE, 50)])
save("zlib.json", list(compressed_lengths()))

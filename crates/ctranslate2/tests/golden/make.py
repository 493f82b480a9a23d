"""Writes whisper.json: what CTranslate2's Python module computes from the tiny Whisper model of the fixtures.

    python make.py            with ctranslate2 4.8.4 and numpy; the tests compare with the file

The features are made of a counter, not of audio, so that both sides have the same bits.
"""

import json
import pathlib

import ctranslate2
import numpy as np

FOLDER = pathlib.Path(__file__).parent
MODEL = FOLDER.parents[3] / "fixtures/tiny-whisper-ct2"
START, ENGLISH, TRANSCRIBE, NO_TIMESTAMPS = 682, 683, 783, 787


def features(seed):
    """80 x 3000 floats in -0.5 to 1.5; the same generator is in tests/whisper.rs."""
    values = np.empty(80 * 3000, dtype=np.float32)
    state = seed
    for i in range(len(values)):
        state = (state * 1664525 + 1013904223) % 2**32
        # A slow wave over time under the noise, so that the windows are not all alike.
        noise = np.float32((state >> 8) / 2**24)
        wave = np.float32(((i % 3000) // 75 % 8) / 8)
        values[i] = noise + wave - np.float32(0.5)
    return values.reshape(80, 3000)


def generate(model, encoded, prompts, **options):
    results = model.generate(encoded, prompts, return_scores=True, return_no_speech_prob=True, **options)
    return [
        {
            "hypotheses": [{"tokens": t, "score": s} for t, s in zip(r.sequences_ids, r.scores)],
            "no_speech_probability": r.no_speech_prob,
        }
        for r in results
    ]


def main():
    model = ctranslate2.models.Whisper(str(MODEL), device="cpu", compute_type="float32", intra_threads=1)
    mel = np.stack([features(1), features(2)])
    encoded = model.encode(ctranslate2.StorageView.from_array(mel))
    prompt = [START, ENGLISH, TRANSCRIBE]
    text = [[300, 301, 302, 303], [400, 401, 402]]
    aligned = model.align(encoded, prompt, text, [3000, 1200], median_filter_width=7)
    result = {
        "encoded": np.array(encoded)[:, ::500, ::16].flatten().tolist(),
        "languages": [
            [[token, probability] for token, probability in row[:5]] for row in model.detect_language(encoded)
        ],
        "beam": generate(model, encoded, [prompt, prompt], beam_size=5, max_length=60),
        "greedy": generate(model, encoded, [prompt + [NO_TIMESTAMPS]] * 2, beam_size=1, max_length=60),
        "three": generate(model, encoded, [prompt, prompt], beam_size=4, num_hypotheses=3, max_length=40,
                          patience=1.5, length_penalty=0.5, repetition_penalty=1.2, no_repeat_ngram_size=3),
        "aligned": [
            {"pairs": [list(pair) for pair in row.alignments], "token_probabilities": row.text_token_probs}
            for row in aligned
        ],
    }
    (FOLDER / "whisper.json").write_text(json.dumps(result, indent=None) + "\n")


main()

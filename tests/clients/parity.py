"""Loads whole transformers models, offline, from a cache that speech-flow wrote: parity.py BINARY

Starts the embedded hub, preloads both models in the transformers layout, and lets stock transformers load
and run them from the cache. Weights must equal the fixtures bit for bit, and the answers must be the known
ones. The golden logits of language identification are computed again, and compared with our own. Needs torch, which the other clients do not; `make parity` installs it.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import client

args = client.arguments(__doc__, "binary")

ROOT = Path(__file__).resolve().parent.parent.parent
FIXTURES = ROOT / "fixtures"
CLASSIFIER, WHISPER = "speech-flow/tiny-lid", "speech-flow/tiny-whisper"
# Answers of the fixtures' own golden outputs, for clips on which the model is sure.
LANGUAGES = {"lid-eng.flac": "eng", "lid-jpn.flac": "jpn"}
CLIP, TEXT = "en05.wav", "The green key is under the table."


def preload(cache):
    """Fills `cache` from the embedded hub, which is gone when the models are loaded."""
    binary = Path(args.binary).resolve()
    hub = subprocess.Popen([binary, "demo-hub"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        endpoint = next(found[0] for line in hub.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        variables = {name: f"{cache}/hub" for name in ["HF_HUB_CACHE", "WHISPER_CACHE_DIR"]}
        variables |= {"PATH": os.environ["PATH"], "HOME": cache, "HF_ENDPOINT": endpoint, "MODEL_CACHE_DIR": cache}
        subprocess.run([binary, "preload", CLASSIFIER, WHISPER], env=variables, stdout=sys.stderr, check=True)
    finally:
        hub.terminate()
        hub.wait(timeout=30)


def same_weights(model, folder):
    """Fails unless `model` has exactly the parameters of the fixture in `folder`."""
    import torch

    reference = type(model).from_pretrained(folder, dtype=model.dtype, local_files_only=True)
    ours, theirs = model.state_dict(), reference.state_dict()
    assert ours.keys() == theirs.keys(), "the parameters have other names"
    for name, tensor in theirs.items():
        assert torch.equal(ours[name], tensor), f"`{name}` differs from the fixture"
    return len(theirs)


def classify(where):
    import torch
    from faster_whisper import decode_audio
    from transformers import AutoFeatureExtractor, Wav2Vec2ForSequenceClassification

    extractor = AutoFeatureExtractor.from_pretrained(CLASSIFIER, **where)
    model = Wav2Vec2ForSequenceClassification.from_pretrained(CLASSIFIER, **where).eval()
    found = {}
    for clip in LANGUAGES:
        audio = decode_audio(str(FIXTURES / "audio" / clip), sampling_rate=16000)
        inputs = extractor(audio, sampling_rate=16000, return_tensors="pt")
        with torch.no_grad():
            found[clip] = model.config.id2label[int(model(**inputs).logits[0].argmax())]
    assert found == LANGUAGES, f"languages: {found}"
    return same_weights(model, FIXTURES / "tiny-lid"), same_logits(extractor, model)


def same_logits(extractor, model):
    """Computes the golden logits of the tests again, and compares our own answers with these, not with the file."""
    import speech_cases
    import torch
    from faster_whisper import decode_audio

    golden = json.loads((FIXTURES / "expected" / "lid-float32.json").read_text())["logits"]
    heard = {name: decode_audio(str(FIXTURES / "audio" / name), sampling_rate=16000) for name in golden}
    command = [args.binary, "identify", "--plain", "--json", "--top", "16", "--compute-type", "float32"]
    with tempfile.TemporaryDirectory(prefix="parity-clips-") as folder:
        # The same samples for both sides: each would decode compressed clips a little differently.
        paths = [speech_cases.written(speech_cases.samples(audio), Path(folder) / f"{name}.wav") for name, audio in heard.items()]
        done = subprocess.run([*command, "--model", FIXTURES / "tiny-lid", *paths], capture_output=True, check=True)
    ours = {Path(result["file"]).stem: result for result in json.loads(done.stdout)["results"]}
    for name, expected in golden.items():
        inputs = extractor(heard[name][: 30 * 16000], sampling_rate=16000, return_tensors="pt")
        with torch.no_grad():
            logits = model(**inputs).logits[0]
        assert (logits - torch.tensor(expected)).abs().max() < 1e-3, f"{name}: the golden logits are others"
        told = {entry["language"]: entry["probability"] for entry in ours[name]["top"]}
        for index, probability in enumerate(torch.log_softmax(logits, -1).tolist()):
            label = model.config.id2label[index]
            difference = abs(torch.tensor(told[label]).log().item() - probability)
            assert difference < 1e-3, f"{name}, {label}: {difference}"
    return len(golden)


def transcribe(where):
    import torch
    from faster_whisper import decode_audio
    from transformers import AutoProcessor, WhisperForConditionalGeneration

    processor = AutoProcessor.from_pretrained(WHISPER, **where)
    model = WhisperForConditionalGeneration.from_pretrained(WHISPER, dtype=torch.float32, **where).eval()
    audio = decode_audio(str(FIXTURES / "audio" / CLIP), sampling_rate=16000)
    features = processor(audio, sampling_rate=16000, return_tensors="pt").input_features
    with torch.no_grad():
        tokens = model.generate(features, language="en", task="transcribe")
    text = processor.batch_decode(tokens, skip_special_tokens=True)[0].strip()
    assert text == TEXT, f"text: {text!r}"
    return text, same_weights(model, FIXTURES / "tiny-whisper")


def load_both():
    with tempfile.TemporaryDirectory(prefix="parity-") as cache:
        preload(cache)
        client.go_offline()
        where = {"cache_dir": f"{cache}/hub", "local_files_only": True}
        tensors, clips = classify(where)
        text, more = transcribe(where)
        return {"clips": len(LANGUAGES), "text": text, "equal_tensors": tensors + more, "clips_with_equal_logits": clips}


client.run(load_both)

"""Calls a worker with the official `openai` client: every response format, streaming, translations, errors.

openai_client.py URL MODEL AUDIO TEXT [--key KEY]      AUDIO: a recording; TEXT: what is said in it
"""

import re

import client

args = client.arguments(__doc__, "url", "model", "audio", "text", key="none")

import openai
from openai.types.audio import Transcription, TranscriptionVerbose, Translation, TranslationVerbose

api = openai.OpenAI(base_url=f"{args.url}/v1", api_key=args.key, max_retries=0, timeout=60)
TIMES = r"\d\d:\d\d[.,]\d{3} --> (\d\d:)?\d\d:\d\d[.,]\d{3}"


def ask(endpoint=api.audio.transcriptions, **options):
    with open(args.audio, "rb") as file:
        return endpoint.create(**({"file": file, "model": args.model} | options))


def formats():
    plain = ask()
    assert isinstance(plain, Transcription) and plain.text == args.text, plain
    assert ask(response_format="json").text == args.text
    text = ask(response_format="text")
    assert isinstance(text, str) and text.strip() == args.text, text
    srt = ask(response_format="srt")
    assert re.match(rf"1\n00:{TIMES}\n{re.escape(args.text)}\n\n$", srt), srt
    vtt = ask(response_format="vtt")
    assert re.match(rf"WEBVTT\n\n(00:)?{TIMES}\n{re.escape(args.text)}\n", vtt), vtt
    return ["json", "text", "srt", "vtt"]


def verbose():
    whole = ask(response_format="verbose_json")
    assert isinstance(whole, TranscriptionVerbose), type(whole)
    assert (whole.text, whole.language, whole.words) == (args.text, "english", None), whole
    assert abs(float(whole.duration) - 2.502) < 0.01, whole.duration
    (segment,) = whole.segments
    assert segment.text.strip() == args.text and 0 <= segment.start < segment.end <= float(whole.duration)
    assert segment.tokens and segment.avg_logprob < 0 and segment.compression_ratio > 0 and segment.no_speech_prob < 0.5
    words = ask(response_format="verbose_json", timestamp_granularities=["word"])
    assert [word.word for word in words.words] == args.text.split(), words.words
    assert all(0 <= word.start <= word.end <= float(whole.duration) for word in words.words)
    both = ask(response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert both.words and both.segments, both
    return len(words.words)


def streamed():
    events = list(ask(stream=True))
    kinds = [event.type for event in events]
    assert kinds[:-1] == ["transcript.text.delta"] * (len(kinds) - 1) and kinds[-1] == "transcript.text.done", kinds
    deltas = "".join(event.delta for event in events[:-1])
    assert deltas == events[-1].text == args.text, events
    return len(events)


def options():
    assert ask(language="en", prompt="The key", temperature=0.0).text == args.text
    assert ask(extra_body={"beam_size": 1, "vad_filter": True}).text == args.text
    english = ask(api.audio.translations)
    assert isinstance(english, Translation) and english.text, english
    whole = ask(api.audio.translations, response_format="verbose_json")
    assert isinstance(whole, TranslationVerbose) and whole.text and whole.segments, whole
    assert ask(api.audio.translations, response_format="text").strip() == english.text
    found = [model.id for model in api.models.list()]
    assert found and api.models.retrieve(found[0]).id == found[0], found
    return found


def refused():
    """Status and code of each fault, as the client's own exceptions have them."""
    cases = {
        "model": dict(model="nobody/nothing"),
        "format": dict(response_format="yaml"),
        "language": dict(language="klingon"),
        "temperature": dict(temperature=-1.0),
        "option": dict(extra_body={"beams": 3}),
        "no audio": dict(file=("notes.mp3", b"These are words, not sound.\n" * 40)),
        "empty": dict(file=("empty.wav", b"")),
    }
    seen = {}
    for name, options in cases.items():
        try:
            answer = ask(**options)
            raise AssertionError(f"{name} was accepted: {answer}")
        except openai.APIStatusError as error:
            assert 400 <= error.status_code < 500 and error.body["message"], (name, error)
            assert error.type == "invalid_request_error" and error.code, (name, error.body)
            seen[name] = [error.status_code, error.code]
    assert seen["model"] == [404, "model_not_found"] and seen["no audio"][0] == 415, seen
    if args.key != "none":
        try:
            api.with_options(api_key="wrong").models.list()
            raise AssertionError("a wrong key was accepted")
        except openai.AuthenticationError as error:
            seen["key"] = [error.status_code, error.code]
    return seen


client.run(lambda: {"formats": formats(), "words": verbose(), "events": streamed(), "models": options(), "refused": refused()})

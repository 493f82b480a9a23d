"""What counts as the same transcript."""

SECONDS = 0.020
LOG_PROBABILITY = 1e-3
PROBABILITY = 1e-3
# Sums of floats in another order.
EXACT = 1e-9


def transcripts(ours, theirs):
    """What differs, as lines of text. Both are documents such as `speech-flow transcribe --json` has in `results`."""
    found = []

    def equal(what, a, b):
        if a != b:
            found.append(f"{what}: ours {a!r}, theirs {b!r}")

    def near(what, a, b, most):
        if (a is None) != (b is None) or a is not None and abs(a - b) > most + EXACT:
            found.append(f"{what}: ours {a}, theirs {b}")

    equal("text", ours["text"], theirs["text"])
    equal("language", ours["language"], theirs["language"])
    near("language_probability", ours["language_probability"], theirs["language_probability"], PROBABILITY)
    near("duration", ours["duration"], theirs["duration"], EXACT)
    near("duration_after_vad", ours["duration_after_vad"], theirs["duration_after_vad"], SECONDS)
    heard = {entry["language"]: entry["probability"] for entry in ours["languages"]}
    for language, probability in theirs["languages"]:
        if probability > PROBABILITY:
            near(f"probability of `{language}`", heard.get(language), probability, PROBABILITY)
    equal("number of segments", len(ours["segments"]), len(theirs["segments"]))
    for index, (a, b) in enumerate(zip(ours["segments"], theirs["segments"], strict=False)):
        place = f"segment {index}"
        for name in ["id", "seek", "text", "tokens"]:
            equal(f"{place}: {name}", a[name], b[name])
        for name in ["start", "end"]:
            near(f"{place}: {name}", a[name], b[name], SECONDS)
        near(f"{place}: avg_logprob", a["avg_logprob"], b["avg_logprob"], LOG_PROBABILITY)
        near(f"{place}: no_speech_prob", a["no_speech_prob"], b["no_speech_prob"], PROBABILITY)
        near(f"{place}: compression_ratio", a["compression_ratio"], b["compression_ratio"], EXACT)
        near(f"{place}: temperature", a["temperature"], b["temperature"], 1e-6)
        equal(f"{place}: words", [word["word"] for word in a.get("words") or []], [word["word"] for word in b["words"] or []])
        for at, (one, other) in enumerate(zip(a.get("words") or [], b["words"] or [], strict=False)):
            for name in ["start", "end"]:
                near(f"{place}, word {at} `{one['word']}`: {name}", one[name], other[name], SECONDS)
            near(f"{place}, word {at} `{one['word']}`: probability", one["probability"], other["probability"], PROBABILITY)
    return found


def word_errors(text, truth):
    """Words that are wrong, and words that there are."""
    said, meant = words(text), words(truth)
    row = list(range(len(said) + 1))
    for at, word in enumerate(meant, 1):
        last, row[0] = row[0], at
        for index, other in enumerate(said, 1):
            last, row[index] = row[index], min(row[index] + 1, row[index - 1] + 1, last + (word != other))
    return row[-1], len(meant)


def words(text):
    kept = "".join(character if character.isalnum() or character in " '" else " " for character in text.lower())
    return kept.split()

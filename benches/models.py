"""Makes the repositories that the benchmarks download: real layouts, valid files, known hashes."""

import hashlib
import json
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path

BLOCK = 8 << 20


@dataclass
class Repository:
    """A folder of files and what a hub says about it."""

    name: str
    folder: Path
    files: dict = field(default_factory=dict)  # relative path → {"size", "sha256", "git"}

    @property
    def commit(self):
        """Any change of a file changes it, as on a real hub."""
        return hashlib.sha1(json.dumps([self.name, self.files], sort_keys=True).encode()).hexdigest()

    @property
    def size(self):
        return sum(entry["size"] for entry in self.files.values())


def scan(name, folder):
    """The repository `name` with every file under `folder`."""
    repository = Repository(name, folder)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            repository.files[path.relative_to(folder).as_posix()] = digests(path)
    return repository


def digests(path):
    size = path.stat().st_size
    sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size)
    with path.open("rb") as file:
        while chunk := file.read(BLOCK):
            sha256.update(chunk)
            # Only small files are named by git's hash; it is not worth reading gigabytes for.
            if size < BLOCK:
                git.update(chunk)
    return {"size": size, "sha256": sha256.hexdigest(), "git": git.hexdigest()}


def digest_of(stream):
    """The SHA-256 of what comes."""
    sha256 = hashlib.sha256()
    while chunk := stream.read(BLOCK):
        sha256.update(chunk)
    return sha256.hexdigest()


def one_large(folder, size):
    """A classifier whose weights are one safetensors file of `size` bytes."""
    write_configuration(folder)
    write_safetensors(folder / "model.safetensors", size)
    return scan("bench/one-large", folder)


def whisper(folder, small, size):
    """The small Whisper model `small` with further weights, `size` bytes in all.

    The engine reads every tensor of the file, and converts it to the compute type, whether the model's graph uses it or
    not. So it loads as slowly as a model of this size, and answers as fast as the small one.
    """
    folder.mkdir(parents=True)
    for path in small.iterdir():
        if path.name != "model.bin":
            (folder / path.name).write_bytes(path.read_bytes())
    known = (small / "model.bin").read_bytes()
    # Version, name of the kind, revision, number of tensors; then the tensors.
    head = 4 + 2 + struct.unpack_from("<H", known, 4)[0] + 4
    (tensors,) = struct.unpack_from("<I", known, head)
    rows, columns, float16 = 5120, 1280, 4
    count = max(0, size - len(known)) // (2 * rows * columns)
    # Without the highest bit of the exponent: no number is infinite, and none is no number.
    finite = bytes(value & 0xBF for value in range(256))
    with (folder / "model.bin").open("wb") as file:
        file.write(known[:head] + struct.pack("<I", tensors + count))
        for number in range(count):
            name = b"more/layer_%d/linear/weight\0" % number
            file.write(struct.pack("<H", len(name)) + name)
            file.write(struct.pack("<BIIBI", 2, rows, columns, float16, 2 * rows * columns))
            file.write(os.urandom(2 * rows * columns).translate(finite))
        file.write(known[head + 4 :])
    return scan("bench/whisper", folder)


def many_small(folder, count, size):
    """`count` JSON files of `size` bytes beside a small model."""
    write_configuration(folder)
    write_safetensors(folder / "model.safetensors", 1 << 20)
    write_parts(folder, count, size)
    return scan("bench/many-small", folder)


def mixed(folder, scale=1.0):
    """Shards of weights and many small files, as a large model has them."""
    write_configuration(folder)
    shards = ["model-0000%d-of-00004.safetensors" % number for number in range(1, 5)]
    weight_map = {}
    for shard in shards:
        weight_map["weights." + shard] = shard
        write_safetensors(folder / shard, max(1 << 20, int(scale * (128 << 20))), "weights." + shard)
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    write_parts(folder, max(10, int(scale * 500)), 10_000)
    return scan("bench/mixed", folder)


def write_configuration(folder):
    folder.mkdir(parents=True, exist_ok=True)
    configuration = {
        "architectures": ["Wav2Vec2ForSequenceClassification"],
        "model_type": "wav2vec2",
        "id2label": {"0": "deu", "1": "eng"},
        "label2id": {"deu": 0, "eng": 1},
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "torch_dtype": "float32",
    }
    extractor = {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": 16000,
        "padding_value": 0.0,
        "do_normalize": True,
        "return_attention_mask": True,
    }
    (folder / "config.json").write_text(json.dumps(configuration, indent=2))
    (folder / "preprocessor_config.json").write_text(json.dumps(extractor, indent=2))


def write_parts(folder, count, size):
    (folder / "parts").mkdir(exist_ok=True)
    for number in range(count):
        body = json.dumps({"part": number, "filler": ""})
        filler = hashlib.shake_128(b"%d" % number).hexdigest((size - len(body)) // 2)
        (folder / "parts" / f"part-{number:05}.json").write_text(json.dumps({"part": number, "filler": filler}))


def write_safetensors(path, size, tensor="weights"):
    """A valid file of exactly `size` bytes with one float32 tensor of pseudo-random bits."""
    # The header is padded with spaces, as the format allows, so that the tensor fills the rest.
    header_size = 4096 - 8
    elements = (size - 4096) // 4
    header = {tensor: {"dtype": "F32", "shape": [elements], "data_offsets": [0, elements * 4]}}
    block = os.urandom(BLOCK)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", header_size))
        file.write(json.dumps(header).encode().ljust(header_size))
        left, number = elements * 4, 0
        while left > 0:
            # No two blocks are alike, so nothing on the way can pass one for another.
            piece = (struct.pack("<Q", number) + block[8:])[:left]
            file.write(piece)
            left, number = left - len(piece), number + 1

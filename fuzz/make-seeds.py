#!/usr/bin/env python3
"""Writes seeds/TARGET/: small, sound inputs from which the fuzzer starts. Needs only Python and fixtures/.

The seeds are in version control; run this again when a format changes.
"""

import hashlib
import json
import shutil
import struct
import zlib
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures"
SEEDS = HERE / "seeds"
SHA1 = "ce013625030ba8dba906f756967f9e9ca394464a"
SHA256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
COMMIT = "d90ca5fe260221311c53c58e660288d3deb8d356"


def put(target: str, name: str, content: bytes | str) -> None:
    folder = SEEDS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def listing() -> None:
    small = {"type": "file", "oid": SHA1, "size": 6, "path": "config.json"}
    large = small | {"path": "onnx/model.bin", "lfs": {"oid": SHA256, "size": 6, "pointerSize": 130}, "xetHash": SHA256}
    folder = {"type": "directory", "oid": SHA1, "size": 0, "path": "onnx"}
    put("listing", "page", json.dumps([folder, small, large]))
    put("listing", "empty", "[]")


def tree() -> None:
    files = {
        "config.json": {"size": 519, "blob_id": SHA1},
        "onnx/model.bin": {
            "size": 6, "blob_id": SHA1, "lfs_sha256": SHA256, "lfs_size": 6, "xet_hash": SHA256,
        },
    }  # fmt: skip
    put("tree", "listing", json.dumps({"format_version": 1, "files": files}, indent=1))


def artifact() -> None:
    files = {"config.json": {"size": 6, "blob_id": SHA1}, "README.md": {"size": 6, "blob_id": SHA1}}
    model = {
        "repo": "a/b", "commit": COMMIT, "refs": ["main"], "kind": "whisper", "license": "mit",
        "tree": {"format_version": 1, "files": files}, "layers": {"config.json": f"sha256:{SHA256}"},
    }  # fmt: skip
    description = json.dumps({"schema": 1, "models": [model]})
    config = {"mediaType": "application/vnd.cncf.model.config.v1+json", "digest": f"sha256:{SHA256}", "size": 2}
    manifest = {
        "schemaVersion": 2, "config": config,
        "layers": [{"mediaType": "application/vnd.cncf.model.weight.v1.raw", "digest": f"sha256:{SHA256}", "size": 6}],
        "annotations": {"io.github.speech-flow.models": description},
    }  # fmt: skip
    put("artifact", "manifest", json.dumps(manifest))
    put("artifact", "description", description)
    put("artifact", "challenge", 'Bearer realm="https://auth.example/token",service="registry.example"')
    put("artifact", "reference", f"oci://registry.example:5000/a/b:c@sha256:{SHA256}")
    put("artifact", "docker", '{"auths": {"registry.example": {"auth": "dTpw"}}, "credsStore": "x"}')


def headers() -> None:
    for name, text in {
        "range": "bytes 0-1048575/3087007744\nbytes 5-9/*",
        "link": '<https://hub.example/api/models/a/b/tree/main?cursor=ZXl; a>; rel="next", </x>; rel=prev',
        "etag": f'W/"{SHA1}"',
        "limits": '120\n"api";r=0;t=55, "resolvers";r=12;t=300',
        "date": 'Wed, 21 Oct 2015 07:29:00 GMT\n"pages";r=1;t=5',
    }.items():
        put("headers", name, text)


def journal() -> None:
    for name, kind, digest in [("sha256", 1, bytes.fromhex(SHA256)), ("sha1", 2, bytes.fromhex(SHA1))]:
        header = struct.pack("<8sIIQ32sI", b"SFLOWJNL", 1, kind, 64 << 20, digest.ljust(32, b"\0"), 0)
        crc = struct.pack("<I", zlib.crc32(header))
        content = header + crc
        for start, end in [(0, 16 << 20), (32 << 20, 48 << 20), (16 << 20, 32 << 20)]:
            record = struct.pack("<QQ", start, end)
            content += record + struct.pack("<I", zlib.crc32(crc + record))
        put("journal", name, content)
        put("journal", f"{name}-torn", content[:-7])
    put("journal_crash", "two-ranges", bytes(range(200)))


def lockfile() -> None:
    files = [("config.json", 519, f"git-sha1:{SHA1}"), ("model.bin", 6, f"sha256:{SHA256}")]
    lines = "".join(f"{path}\0{size}\0{digest}\n" for path, size, digest in files)
    digest = hashlib.sha256(lines.encode()).hexdigest()
    listed = "".join(f'    {{ path = "{path}", size = {size}, digest = "{hash}" }},\n' for path, size, hash in files)
    model = (
        f'\n[[model]]\nname = "NAME"\nrepository = "Systran/faster-whisper-NAME"\nrevision = "main"\n'
        f'commit = "{COMMIT}"\nkind = "whisper"\ndigest = "sha256:{digest}"\nfiles = [\n{listed}]\n'
    )
    put("lockfile", "one", "version = 1\n" + model.replace("NAME", "tiny"))
    put("lockfile", "two", "version = 1\n" + model.replace("NAME", "base") + model.replace("NAME", "tiny"))
    put("lockfile", "by-hand", "version = 1\n" + model.replace("NAME", "tiny").replace("519", "520"))
    put("lockfile", "none", "version = 1\n")


def safetensors() -> None:
    tensors = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "BF16", "shape": [], "data_offsets": [24, 26]},
        "classifier.weight": {"dtype": "I8", "shape": [0, 4], "data_offsets": [26, 26]},
    }
    header = json.dumps(tensors).encode()
    put("safetensors", "small", struct.pack("<Q", len(header)) + header + bytes(26))
    # A real header, of which the data is left out; the target takes the length that it describes.
    real = (FIXTURES / "tiny-lid" / "model.safetensors").read_bytes()
    put("safetensors", "tiny-lid", real[: 8 + struct.unpack_from("<Q", real)[0]])


def ct2(version: int) -> bytes:
    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    def variable(name: str, shape: list[int], kind: int, size: int) -> bytes:
        items = 1
        for dimension in shape:
            items *= dimension
        table = text(name) + struct.pack("<B", len(shape)) + b"".join(struct.pack("<I", n) for n in shape)
        table += struct.pack("<BI", kind, items * size) if version >= 4 else struct.pack("<BI", size, items)
        return table + bytes(items * size)

    content = struct.pack("<I", version)
    if version >= 2:
        content += text("WhisperSpec") + struct.pack("<I", 3)
    variables = [
        variable("encoder/conv1/weight", [1, 80, 1], 4, 2),
        variable("decoder/embeddings/weight", [3, 2], 0, 4),
        variable("decoder/embeddings/weight_scale", [], 1, 1),
    ]
    content += struct.pack("<I", len(variables)) + b"".join(variables)
    if version >= 3:
        content += struct.pack("<I", 1) + text("decoder/projection/weight") + text("decoder/embeddings/weight")
    return content


def ctranslate2() -> None:
    for version in [1, 2, 3, 4, 6]:
        put("ctranslate2", f"version-{version}", ct2(version))
    put("ctranslate2", "tiny-whisper-start", (FIXTURES / "tiny-whisper-ct2" / "model.bin").read_bytes()[:2048])


def prepared() -> None:
    for version in [1, 3, 6]:
        put("prepared", f"version-{version}", ct2(version))


def model_json() -> None:
    config = json.loads((FIXTURES / "tiny-lid" / "config.json").read_text())
    put("model_json", "labels", json.dumps({"0": "eng", "1": "deu", "2": "jpn"}))
    put("model_json", "config", json.dumps(config))
    tokenizer = {"version": "1.0", "added_tokens": [{"id": 2, "content": "</s>"}], "model": {"vocab": {"a": 0, "b": 1}}}
    put("model_json", "tokenizer", json.dumps(tokenizer))
    put("model_json", "unigram", json.dumps({"model": {"vocab": [["a", -1.5], ["b", -2e3]]}}))
    put("model_json", "vocabulary", json.dumps(["<unk>", "a", "\u00e9", "\u2581the"]))
    shards = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    put("model_json", "index", json.dumps({"metadata": {"total_size": 12}} | shards))
    put("model_json", "pointer", f"version https://git-lfs.github.com/spec/v1\noid sha256:{SHA256}\nsize 6\n")
    put("model_json", "page", "<!DOCTYPE html><html><body>Sign in")
    put("model_json", "message", json.dumps({"error": "Zugriff verweigert, bitte melden Sie sich zuerst an: h\u00fcb"}))


NAMES = [
    "config.json", "preprocessor_config.json", "tokenizer.json", "vocabulary.json", "vocabulary.txt", "model.bin",
    "model.safetensors", "model.safetensors.index.json", "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors", "pytorch_model.bin",
]  # fmt: skip


def model_folder() -> None:
    def folder(files: dict[str, bytes | str]) -> bytes:
        content = {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}
        return b"".join(struct.pack("<BH", NAMES.index(name), len(data)) + data for name, data in content.items())

    def weights(tensors: dict[str, list[int]]) -> bytes:
        header, data = {}, 0
        for name, shape in tensors.items():
            end = data + 4 * shape[0] * shape[1]
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [data, end]}
            data = end
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + bytes(data)

    config = {"architectures": ["Wav2Vec2ForSequenceClassification"], "id2label": {"0": "eng", "1": "deu"}, "num_labels": 2}
    classifier = {
        "config.json": json.dumps(config),
        "preprocessor_config.json": json.dumps({"sampling_rate": 16000}),
        "tokenizer.json": json.dumps({"model": {"vocab": {"a": 0}}}),
    }
    put("model_folder", "language-id", folder(classifier | {"model.safetensors": weights({"classifier.weight": [2, 3]})}))
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = json.dumps({"weight_map": {"classifier.weight": shards[0], "w": shards[1]}})
    parts = {shards[0]: weights({"classifier.weight": [2, 1]}), shards[1]: weights({"w": [1, 1]})}
    put("model_folder", "shards", folder(classifier | {"model.safetensors.index.json": index} | parts))
    whisper = {
        "config.json": "{}",
        "preprocessor_config.json": json.dumps({"feature_size": 80}),
        "vocabulary.json": json.dumps(["a", "b", "c"]),
        "model.bin": ct2(6),
    }
    put("model_folder", "whisper", folder(whisper))
    whisper.pop("vocabulary.json")
    put("model_folder", "whisper-old", folder(whisper | {"vocabulary.txt": "a\nb\n", "model.bin": ct2(3)}))
    put("model_folder", "pickle", folder({"config.json": "{}", "pytorch_model.bin": b"PK\x03\x04 data.pkl"}))


def card() -> None:
    for name in ["tiny-lid", "tiny-whisper"]:
        put("card", name, (FIXTURES / name / "README.md").read_bytes()[:1500])
    put(
        "card", "all",
        "---\nlicense: other # c\nlicense_name: 'my license'\nlicense_link: https://x.example/l\nbase_model:\n- a/b\n"
        '  - "c/d"\nlanguage: [en, "no"]\nmodel-index:\n- name: x\n  results: []\npipeline_tag: asr\n---\n# Model\n',
    )  # fmt: skip


def config() -> None:
    put(
        "config", "all",
        "lockfile = 'my.lock'\n[cache]\ndir = '$DATA/models'\nhf-home = '~/hf'\nhub = 'hub'\nwhisper = '/w'\n"
        "lease-dir = '${DATA}/l'\ngrace-period = '2h'\ndisable-symlinks = true\n[whisper]\nmodel = 'tiny.en@v1'\n"
        "revision = 'main'\ndevice = 'cpu'\ncompute-type = 'int8_float16'\n[lid]\nmodel = 'facebook/mms-lid-126'\n"
        "revision = 'v2'\n[hub]\nendpoint = 'https://user:pass@hub.example/x/'\ntoken-path = 't'\noffline = false\n"
        "disable-implicit-token = 'no'\netag-timeout = 2.5\n[download]\nmax-retries = 4\nretry-delay = '250ms'\n"
        "stall-timeout = 0\nlanes = 16\nlanes-per-file = 2\nsegment-size = '8MiB'\nrate-limit = '20MB/s'\n[network]\n"
        "http-proxy = 'user:pass@proxy.example:3128'\nhttps-proxy = 'http://proxy.example'\nall-proxy = 'socks5://p:1'\n"
        "no-proxy = 'localhost,.example'\nca-file = 'ca.pem'\n[log]\nfilter = 'info,a=debug'\nformat = 'json'\n"
        "[[model]]\nname = 'openai/whisper-tiny'\nrevision = 'refs/pr/1'\nkind = 'transformers'\n"
        "include = ['*.json', 'onnx/']\nexclude = ['*.bin']\n[[model]]\nname = 'base'\n",
    )  # fmt: skip
    put("config", "token", "[hub]\ntoken = 'hf_x'\n")
    put("config", "typo", "[download]\nlane = 3\n")


def names() -> None:
    for index, text in enumerate([
        "gpt2", "Systran/faster-whisper-tiny.en", "tiny.en@v1.0", "large-v33", "./folder", "facebook/mms-lid-126@refs/pr/1",
        "models--openai--whisper-tiny", "onnx/model.onnx", "../../etc/passwd", SHA1, f"sha256:{SHA256}", f"git-sha1:{SHA1}",
        f"{SHA256}.0123456789abcdef", f"models--o--r.v1.{COMMIT}.0123-1.json", "1.5 GiB", "500MB", "18446744073709551615",
        "language-id", "{a,b[!c]}*/?", "a\\b:c",
    ]):  # fmt: skip
        put("names", f"{index:02}", text)


def audio() -> None:
    for clip in sorted((HERE.parent / "crates/speech-engine/tests/data/formats").iterdir()):
        if clip.stat().st_size <= 16384:
            put("audio", clip.name, clip.read_bytes())
    put("audio", "de02.webm", (FIXTURES / "audio/de02.webm").read_bytes())
    for clip in ["en07.ogg", "en12.flac"]:
        put("audio", clip, (FIXTURES / "audio" / clip).read_bytes()[:16000])
    for kind, bits in [(1, 8), (1, 16), (1, 24), (3, 32), (6, 8), (7, 8)]:
        samples = bytes(range(240)) * 2
        head = struct.pack("<HHIIHHH", kind, 2, 8000, 2000 * bits, bits // 4, bits, 0)
        chunks = b"WAVEfmt " + struct.pack("<I", len(head)) + head + b"data" + struct.pack("<I", len(samples)) + samples
        put("audio", f"format-{kind}-{bits}.wav", b"RIFF" + struct.pack("<I", len(chunks)) + chunks)


def lid_folder() -> None:
    def part(name: int, content: bytes) -> bytes:
        return bytes([name]) + struct.pack("<H", len(content)) + content

    preprocessing = json.dumps({"do_normalize": True, "sampling_rate": 16000, "feature_size": 1}).encode()
    header = json.dumps({"classifier.bias": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    shard = struct.pack("<Q", len(header)) + header + b"\0\x3c"
    index = json.dumps({"weight_map": {"classifier.bias": "one.safetensors"}}).encode()
    put("lid_folder", "sound", b"")
    put("lid_folder", "preprocessing", part(1, preprocessing))
    put("lid_folder", "shards", part(2, b"") + part(4, shard) + part(3, index))
    put("lid_folder", "settings", part(0, (FIXTURES / "tiny-lid" / "config.json").read_bytes()))


def vad_model() -> None:
    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    tensor = field(1, b"\1") + b"\x10\1" + field(8, b"decoder.conv1d.bias") + field(9, struct.pack("<f", 1))
    put("vad_model", "one-tensor", field(7, field(5, tensor)))


def findings() -> None:
    """Inputs that once failed."""
    lfs = {"type": "file", "oid": "../x", "path": "a", "lfs": {"oid": SHA256, "size": 6}, "xetHash": "../y"}
    put("listing", "second-hash-is-none", json.dumps([lfs]))
    entry = {"size": 1, "blob_id": SHA1}
    put("tree", "file-and-folder", json.dumps({"format_version": 1, "files": {"a": entry, "a/b": entry}}))
    put("headers", "link-logs-in", "<https://user:pass@hub.example/x>; rel=next")
    put("lockfile", "escape", 'version = 1\n[[model]]\nname = "x"\nrepository = "a\\u001b/b"\n')
    put("ctranslate2", "escape", ct2(6).replace(b"decoder", b"\x1b[2Jdec", 1)[:-90])
    put("model_json", "list-for-map", '[[["a"]]]')
    put("model_json", "cut-character", json.dumps({"error": " " * 50 + "\u00e9\u00e9\u00e9"}, ensure_ascii=False))
    put("config", "escape-in-hint", "[hub]\nendpoint = 'hub\ta'\n")
    index = json.dumps({"weight_map": {"a": "\u007fne.safetensors"}}).encode()
    put("lid_folder", "index-escape", b"\2\0\0\3" + struct.pack("<H", len(index)) + index)
    put("names", "escape", "a\x1b[2J")
    put("names", "exact-size", "9007199254740993")
    put("names", "path-for-folder", "models--a/b")


def main() -> None:
    shutil.rmtree(SEEDS, ignore_errors=True)
    for write in [
        listing, tree, artifact, headers, journal, lockfile, safetensors, ctranslate2, prepared, model_json, model_folder, lid_folder,
        vad_model, card, config, names, audio,
        findings,
    ]:  # fmt: skip
        write()
    print(f"{sum(file.stat().st_size for file in SEEDS.rglob('*') if file.is_file())} bytes of seeds")


if __name__ == "__main__":
    main()

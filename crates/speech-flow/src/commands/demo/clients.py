"""Loads the demo's models with unmodified clients, offline, from the caches that speech-flow wrote."""

import os

from huggingface_hub import __version__, scan_cache_dir, snapshot_download

whisper, lid = os.environ["WHISPER_MODEL_NAME"], os.environ["LID_MODEL_ID"]
whisper_cache, hub_cache = os.environ["WHISPER_CACHE_DIR"], os.environ["HF_HUB_CACHE"]

files = ["config.json", "preprocessor_config.json", "model.safetensors"]
folder = snapshot_download(lid, cache_dir=hub_cache, local_files_only=True, allow_patterns=files)
print(f"huggingface_hub {__version__}: {lid} at {os.path.basename(folder)[:12]} has {sorted(os.listdir(folder))}")
repos = [repo.repo_id for repo in scan_cache_dir(hub_cache).repos]
print(f"huggingface_hub {__version__}: its scan of the cache lists {sorted(repos)}")

try:
    import transformers
except ImportError:
    print("transformers: not installed, skipped")
else:
    config = transformers.AutoConfig.from_pretrained(lid, cache_dir=hub_cache, local_files_only=True)
    extractor = transformers.AutoFeatureExtractor.from_pretrained(lid, cache_dir=hub_cache, local_files_only=True)
    languages = len(config.id2label)
    print(f"transformers {transformers.__version__}: {lid} tells {languages} languages at {extractor.sampling_rate} Hz")

try:
    import faster_whisper
except ImportError:
    print("faster_whisper: not installed, skipped")
else:
    model = faster_whisper.WhisperModel(whisper, device="cpu", compute_type="int8", download_root=whisper_cache, local_files_only=True)
    print(f"faster_whisper {faster_whisper.__version__}: {whisper} is loaded, multilingual: {model.model.is_multilingual}")

#!/usr/bin/env bash
# Runs one fuzz target, or replays single inputs.
#
#   fuzz/run.sh TARGET SECONDS      fuzz; a finding stops it and stays in fuzz/artifacts/TARGET
#   fuzz/run.sh TARGET FILE...      run these inputs once
#
# Works with the stable compiler of rust-toolchain.toml: RUSTC_BOOTSTRAP lets it take the flags that
# cargo-fuzz sets, and the one thing that it lacks, a sanitizer, is switched off (no target has unsafe code).
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# -ge 2 ] || { echo "usage: fuzz/run.sh TARGET SECONDS|FILE..." >&2; exit 2; }
target=$1
shift
export RUSTC_BOOTSTRAP=1
cargo_fuzz=(cargo fuzz run --sanitizer none --target-dir fuzz/target "$target")

if [ -e "$1" ]; then
  exec "${cargo_fuzz[@]}" "$@"
fi
options=(-max_total_time="$1" -timeout=10 -rss_limit_mb=1024 -max_len=16384 -print_final_stats=1)
case $target in
  artifact | lid_folder | listing | tree | safetensors | model_json | model_folder) options+=(-dict=fuzz/dictionaries/json.dict) ;;
  lockfile | config) options+=(-dict=fuzz/dictionaries/toml.dict) ;;
  headers) options+=(-dict=fuzz/dictionaries/headers.dict) ;;
esac
mkdir -p "fuzz/corpus/$target" "fuzz/seeds/$target"
exec "${cargo_fuzz[@]}" "fuzz/corpus/$target" "fuzz/seeds/$target" -- "${options[@]}"

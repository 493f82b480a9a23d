#!/usr/bin/env bash
# Puts the Hub's other clients that tests start into target/clients; does nothing when they are there.
#
#   hub-0.36, hub-1, hub-2       Python environments with these versions of huggingface_hub, without hf_xet
#   debug/hf-hub-client          the Hub's client for Rust
#
#   scripts/clients.sh           what `make test` needs
#   scripts/clients.sh --all     also the newest client for Rust, which brings 280 crates
set -euo pipefail
cd "$(dirname "$0")/.."

waited_for=()
for name in hub-0.36 hub-1 hub-2; do
  scripts/venv.sh "target/clients/$name" "tests/clients/requirements-$name.txt" &
  waited_for+=($!)
done
features=()
[ "${1:-}" != --all ] || features=(--all-features)
cargo build --quiet --locked --manifest-path tests/clients/hf-hub/Cargo.toml --target-dir target/clients "${features[@]}"
for process in "${waited_for[@]}"; do
  wait "$process"
done

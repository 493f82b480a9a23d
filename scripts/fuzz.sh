#!/usr/bin/env bash
# Runs every target of fuzz/ for some minutes each; a finding stops it and stays in fuzz/artifacts.
#
#   scripts/fuzz.sh [MINUTES]
#
# Needs a nightly toolchain and cargo-fuzz; installs what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-10}

rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal
cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked

targets=$(cargo +nightly fuzz list)
[ -n "$targets" ] || { echo "fuzz: no targets in fuzz/" >&2; exit 1; }
for target in $targets; do
  echo "fuzz: $target for $minutes min"
  cargo +nightly fuzz run "$target" -- -max_total_time=$((minutes * 60)) -print_final_stats=1 -verbosity=0
done
echo "fuzz: no finding in $(wc -w <<<"$targets") targets, $minutes min each"

#!/usr/bin/env bash
# Runs every target of fuzz/ for some minutes each; a finding stops it and stays in fuzz/artifacts.
#
#   scripts/fuzz.sh [MINUTES]
#
# Needs cargo-fuzz; installs it when it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

minutes=${1:-10}

cargo fuzz --version >/dev/null 2>&1 || cargo install cargo-fuzz --locked

targets=$(cargo fuzz list)
[ -n "$targets" ] || { echo "fuzz: no targets in fuzz/" >&2; exit 1; }
for target in $targets; do
  echo "fuzz: $target for $minutes min"
  fuzz/run.sh "$target" $((minutes * 60))
done
echo "fuzz: no finding in $(wc -w <<<"$targets") targets, $minutes min each"

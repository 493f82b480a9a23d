#!/usr/bin/env bash
# Writes every requirements*.txt (all packages pinned and hashed) from the .in file beside it.
# For maintainers who change a version; needs PyPI.
#
#   scripts/lock-python.sh [NAME...]      such as tests/clients/requirements-hub-1; all by default
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(scripts/find-python.sh)
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"$python" -m venv "$tools/venv"
"$tools/venv/bin/pip" install --quiet uv
[ $# -gt 0 ] || set -- tests/clients/requirements{,-parity,-cuda,-hub-0.36,-hub-1,-hub-2,-olah} \
  tests/deploy/requirements{,-image} deploy/image/requirements-cuda
for name in "$@"; do
  options=()
  # What these clients depend on by default and must not have here.
  [[ $name != tests/clients/requirements-hub-* ]] || options=(--no-emit-package hf-xet)
  "$tools/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-annotate --custom-compile-command 'scripts/lock-python.sh' "${options[@]}" \
    "$name.in" -o "$name.txt"
done

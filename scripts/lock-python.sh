#!/usr/bin/env bash
# Writes tests/clients/requirements*.txt and deploy/image/requirements-cuda.txt (every package pinned and hashed) from
# the .in files.
# For maintainers who change a version; needs PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(scripts/find-python.sh)
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"$python" -m venv "$tools/venv"
"$tools/venv/bin/pip" install --quiet uv
for name in tests/clients/requirements tests/clients/requirements-parity deploy/image/requirements-cuda tests/deploy/requirements-image; do
  "$tools/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-annotate --custom-compile-command 'scripts/lock-python.sh' \
    "$name.in" -o "$name.txt"
done

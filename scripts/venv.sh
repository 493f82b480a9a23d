#!/usr/bin/env bash
# Makes a virtual environment from a file of pinned, hashed requirements; does nothing when it is up to date.
#
#   scripts/venv.sh [FOLDER [REQUIREMENTS]]      default: .venv tests/clients/requirements.txt
#
# Two callers at once are fine: the second waits for the first.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-.venv}
requirements=${2:-tests/clients/requirements.txt}

python=$(scripts/find-python.sh) || {
  echo "venv: no Python 3.11 or newer with \`venv\`; run scripts/setup.sh venv, or name one with PYTHON=" >&2
  exit 1
}
wanted="$("$python" -c 'import sys; print(sys.version)' | tr -d '\n') $(sha256sum <"$requirements")"
stamp=$folder/.made-from

mkdir -p target
exec 9>"target/$(basename "$folder").lock"
flock 9

if [ -x "$folder/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
  exit 0
fi
echo "venv: making $folder from $requirements with $python (once; it takes a minute or two)"
rm -rf "$folder"
"$python" -m venv "$folder"
echo '*' >"$folder/.gitignore"
# The file names everything that is needed, and leaves out on purpose what must not be there.
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
  --require-hashes --no-deps --only-binary :all: -r "$requirements"
# Written last: a run that was cut off starts over.
printf '%s' "$wanted" >"$stamp"

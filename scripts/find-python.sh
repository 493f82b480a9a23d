#!/usr/bin/env bash
# Prints a Python that can make the virtual environment: 3.11 or newer, with `venv` and `ensurepip`.
# Fails silently where there is none. PYTHON names one to try first.
set -euo pipefail

for python in ${PYTHON:+"$PYTHON"} python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
  path=$(command -v "$python" 2>/dev/null) || continue
  if "$path" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "$path"
    exit 0
  fi
done
exit 1

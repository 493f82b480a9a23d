#!/usr/bin/env bash
# Compares with faster-whisper on an NVIDIA GPU: results first, then speed. Without a GPU it says so and fails.
#
#   scripts/cuda.sh BINARY PYTHON        PYTHON is of an environment with cuBLAS (tests/clients/requirements-cuda.txt)
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$1 python=$2

card=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1) || card=
if [ -z "$card" ]; then
  echo "cuda: nvidia-smi finds no GPU here: nothing was tested" >&2
  exit 1
fi
echo "cuda: $card"

# CTranslate2 opens libcublas.so.12 when a model is put on the GPU.
cublas=$("$python" -c 'import nvidia.cublas, pathlib; print(pathlib.Path(list(nvidia.cublas.__path__)[0]) / "lib")')
export LD_LIBRARY_PATH="$cublas${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

"$python" tests/clients/speech_parity.py "$binary" --device cuda --every 1
"$python" benches/run.py speech --device cuda

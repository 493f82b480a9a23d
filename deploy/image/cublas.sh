#!/bin/sh
# Puts cuBLAS into a folder, from NVIDIA's pinned package on PyPI; only makes the folder where the device is no GPU.
#
#   cublas.sh cpu|cuda FOLDER
set -eu

mkdir -p "$2"
case $1 in
  cpu) exit 0 ;;
  cuda) ;;
  *)
    echo "DEVICE is \`$1\`; it takes \`cpu\` or \`cuda\`" >&2
    exit 2
    ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes \
  --only-binary :all: --target "$work/cublas" -r "$(dirname "$0")/requirements-cuda.txt"
for library in 'libcublas.so.*' 'libcublasLt.so.*'; do
  find "$work/cublas/nvidia" -name "$library" -exec install -m 755 -t "$2" {} +
done
mkdir -p "$2/../../share/doc/cublas"
find "$work/cublas" -name 'License*' -exec cp -n {} "$2/../../share/doc/cublas/" \;

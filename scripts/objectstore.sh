#!/usr/bin/env bash
# Puts the object stores that tests start into target/objectstore; does nothing when they are there.
#
#   bin/s3s-fs                       an S3 server over a folder: it checks signatures, has conditional writes
#                                    and parts, and shows an object only when it is whole
#   azurite/node_modules/azurite     Microsoft's Azure Blob server
#
# Two callers at once are fine: the second waits for the first.
set -euo pipefail
cd "$(dirname "$0")/.."

s3_version=0.14.1
root=target/objectstore
mkdir -p "$root"
exec 9>"$root/.lock"
flock 9

# Fast to build rather than fast: it serves a few MiB.
wanted="s3s-fs $s3_version"
if [ ! -x "$root/bin/s3s-fs" ] || [ "$("$root/bin/s3s-fs" --version)" != "$wanted" ]; then
  echo "objectstore: building $wanted (once; it takes a few minutes)"
  CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    cargo install --quiet --locked --force --root "$root" --features binary --version "$s3_version" s3s-fs
fi

wanted="$(node --version) $(sha256sum <tests/objectstore/package-lock.json)"
stamp=$root/azurite/.made-from
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  echo "objectstore: installing Azurite (once; it takes a minute)"
  rm -rf "$root/azurite"
  mkdir -p "$root/azurite"
  cp tests/objectstore/package.json tests/objectstore/package-lock.json "$root/azurite"
  # No package's own script runs; every file is checked against the hashes of the lockfile.
  npm ci --prefix "$root/azurite" --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund --silent
  # Written last: a run that was cut off starts over.
  printf '%s' "$wanted" >"$stamp"
fi

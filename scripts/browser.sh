#!/usr/bin/env bash
# Puts what drives a real browser into target/browser; does nothing when it is there. The browser itself is the
# system's Chromium.
#
# Two callers at once are fine: the second waits for the first.
set -euo pipefail
cd "$(dirname "$0")/.."

root=target/browser
mkdir -p "$root"
exec 9>"$root/.lock"
flock 9

wanted="$(node --version) $(sha256sum <tests/browser/package-lock.json)"
stamp=$root/.made-from
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  echo "browser: installing playwright-core (once; it takes some seconds)"
  rm -rf "$root/node_modules"
  cp tests/browser/package.json tests/browser/package-lock.json "$root"
  # No package's own script runs, so no browser is downloaded; every file is checked against the lockfile's hashes.
  npm ci --prefix "$root" --omit=dev --ignore-scripts --no-audit --no-fund --silent
  # Written last: a run that was cut off starts over.
  printf '%s' "$wanted" >"$stamp"
fi

#!/usr/bin/env bash
# Every check that needs no test run. Stops at the first that fails.
set -euo pipefail
cd "$(dirname "$0")/.."

step() {
  echo "lint: $*"
  "$@"
}

step cargo fmt --all --check
step cargo clippy --locked --workspace --all-targets --quiet -- -D warnings
RUSTDOCFLAGS='-D warnings' step cargo doc --locked --workspace --no-deps --quiet
step cargo xtask tidy
if cargo deny --version >/dev/null 2>&1; then
  step cargo deny --log-level error check --hide-inclusion-graph bans licenses sources
  # The advisories come from another host than the packages; without it the rest must still be checked.
  if cargo deny --log-level off fetch db >/dev/null 2>&1; then
    step cargo deny --log-level error check --hide-inclusion-graph advisories
  else
    echo "lint: the advisory database cannot be fetched: advisories were NOT checked"
  fi
else
  echo "lint: cargo-deny is not installed: advisories were NOT checked (licenses were, by tidy)"
fi

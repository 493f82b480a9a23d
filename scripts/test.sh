#!/usr/bin/env bash
# Runs the tests with cargo-nextest where it is installed, else with `cargo test`.
#
#   scripts/test.sh           everything but the long runs
#   scripts/test.sh --soak    only the long runs: ignored tests whose names begin with `soak`
#
# The last lines are the runner's own summary.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ ! -x "${SPEECH_FLOW_TEST_PYTHON:-}" ]; then
  echo "test: SPEECH_FLOW_TEST_PYTHON names no Python; use \`make test\`, which makes the environment" >&2
  exit 1
fi

nextest() { cargo nextest --version >/dev/null 2>&1; }

if [ "${1:-}" = --soak ]; then
  if nextest; then
    exec cargo nextest run --locked --package speech-flow --profile soak --run-ignored only -E 'test(/(^|::)soak/)'
  fi
  exec cargo test --locked --package speech-flow --tests -- --ignored --nocapture soak
fi

# The examples in the docs come first, so that the long list of tests ends the output.
cargo test --locked --workspace --doc --quiet
if nextest; then
  exec cargo nextest run --locked --workspace --profile "${NEXTEST_PROFILE:-default}"
fi
exec cargo test --locked --workspace --lib --bins --tests --no-fail-fast

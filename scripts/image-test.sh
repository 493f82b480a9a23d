#!/usr/bin/env bash
# Builds the image, and one with models in it, and runs both as a cluster does: another user than root, no capability, a
# root file system that cannot be written to, volumes, no network but an embedded hub. Says what holds, line by line, and
# ends at the first that does not.
#
#   scripts/image-test.sh [VARIANT...]     plain, baked, compose, cuda; all but `cuda` without an argument
#
# `cuda` fetches 600 MB more, and computes on no GPU: it shows that the image is complete and says so where there is none.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
store=$(realpath -m "${IMAGE_STORE:-target/image}")
image=localhost/speech-flow:$version
whisper=speech-flow/tiny-whisper-ct2
gated=demo/gated
token=hf_speechflowdemotokenwithaccess00000001
clip=fixtures/audio/en05.wav
spoken='The green key is under the table.'
# What a pod of the restricted security level may do, and its place for uploads.
restricted=(--read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --no-healthcheck --pull never)

export CONTAINERS_STORAGE_CONF=$store/storage.conf CONTAINERS_CONF=$store/containers.conf
run=image-test-$$
work=$(mktemp -d)

finish() {
  local code=$?
  [ "$code" -eq 0 ] || { for name in $(podman ps -aq --filter "name=$run"); do podman logs --tail 20 "$name" >&2 || true; done; }
  podman ps -aq --filter "name=$run" | xargs -r podman rm -f --depend -t 0 >/dev/null 2>&1 || true
  podman network ls -q --filter "name=$run" | xargs -r podman network rm -f >/dev/null || true
  podman volume ls -q --filter "name=$run" | xargs -r podman volume rm -f >/dev/null || true
  rm -rf "$work"
  exit "$code"
}
trap finish EXIT

said=0
holds() { # holds CLAIM: what came before it in this script has shown it
  said=$((said + 1))
  echo "  ok: $*"
}

fail() {
  echo "image-test: $*" >&2
  exit 1
}

same() { [ "$2" = "$3" ] || fail "$1: \`$2\` instead of \`$3\`"; } # same WHAT GOT WANTED

contained() { # contained NAME NETWORK ARGUMENT...: a container with what `restricted` allows, in the foreground
  podman run --name "$run-$1" --network "$2" "${restricted[@]}" "${@:3}"
}

wait_for() { # wait_for SECONDS WHAT COMMAND...
  local left=$1 what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || fail "not in time: $what"
    sleep 1
  done
}

# Asks inside the network of a container, with this machine's curl: the image has none.
ask() { # ask NAME ARGUMENT...
  nsenter --target "$(podman inspect --format '{{.State.Pid}}' "$run-$1")" --net curl --silent --show-error --fail "${@:2}"
}

transcribed() { # transcribed NAME PORT: what is said in the clip
  ask "$1" -F "file=@$clip" -F response_format=text "http://127.0.0.1:$2/v1/audio/transcriptions"
}

# The health check of the image.
healthy() { # healthy NAME
  podman exec "$run-$1" speech-flow health
}

ends_well() { # ends_well NAME: SIGTERM is enough, and the exit code is 0
  podman stop --time 60 "$run-$1" >/dev/null
  same "exit code of $1 after SIGTERM" "$(podman inspect --format '{{.State.ExitCode}}' "$run-$1")" 0
}

hub() { # hub NAME NETWORK: starts the embedded hub; its address is in $hub then
  contained "$1" "$2" --detach "$image" demo-hub --listen 127.0.0.1:0 --json >/dev/null
  wait_for 60 "the hub listens" eval "podman logs '$run-$1' 2>/dev/null | grep -q endpoint"
  hub=$(podman logs "$run-$1" 2>/dev/null | sed -n 's/.*"endpoint":"\([^"]*\)".*/\1/p')
}

test_configuration() {
  echo "image-test: what the image is"
  local root
  same "user" "$(podman image inspect --format '{{.Config.User}}' "$image")" 10001:0
  same "volumes" "$(podman image inspect --format '{{.Config.Volumes}}' "$image")" 'map[/models:{}]'
  same "health check" "$(podman image inspect --format '{{.HealthCheck.Test}}' "$image")" '[CMD speech-flow health]'
  same "version label" "$(podman image inspect --format '{{index .Labels "org.opencontainers.image.version"}}' "$image")" "$version"
  holds "it runs as 10001:0, has the volume /models, a health check and OCI labels"
  root=$(podman image mount "$image")
  if find "$root" -name sh -o -name bash -o -name 'curl*' -o -name 'tini*' -o -name apt -o -name '*.deb' | grep .; then
    fail "the image has a shell, a tool or a package in it"
  fi
  same "set-user-id files" "$(find "$root" -xdev -perm /6000 -type f)" ""
  [ -s "$root/usr/local/share/speech-flow/speech-flow.cdx.json" ] || fail "the image has no list of its parts"
  [ -s "$root/usr/local/share/speech-flow/LICENSES.txt" ] || fail "the image has no licenses"
  # The authorities are those of Debian's package, not those of the machine that built it.
  same "authorities" "$(grep -c 'BEGIN CERTIFICATE' "$root/etc/ssl/certs/ca-certificates.crt")" \
    "$(podman run --rm --pull never --network none "$debian" sh -c 'cat /usr/share/ca-certificates/mozilla/*.crt | grep -c "BEGIN CERTIFICATE"')"
  podman image unmount "$image" >/dev/null
  holds "no shell, no package manager, no cache of packages, no set-user-id file; its parts and licenses are listed in it"
}

test_plain() {
  test_configuration
  echo "image-test: models on a volume"
  hub hub none
  local network=container:$run-hub
  local settings=(--env "HF_ENDPOINT=$hub" --env "WHISPER_MODEL_NAME=$whisper" --env LID_MODEL_ID=speech-flow/tiny-lid)
  podman volume create "$run-models" >/dev/null
  contained preload "$network" --rm "${settings[@]}" --volume "$run-models:/models" "$image" \
    preload --all --prepare --json >"$work/preload.json" 2>"$work/preload.log" || { cat "$work/preload.log"; fail "preload"; }
  same "downloaded" "$(grep -o '"outcome":"downloaded"' "$work/preload.json" | wc -l)" 2
  holds "preload fetches both models as 10001, root file system read-only, no capability"
  contained verify "$network" --rm "${settings[@]}" --volume "$run-models:/models:ro" "$image" verify >/dev/null 2>&1
  holds "verify finds every file right on a read-only mount"

  contained whisper "$network" --detach "${settings[@]}" --env HF_HUB_OFFLINE=1 --volume "$run-models:/models:ro" "$image" worker whisper >/dev/null
  wait_for 120 "the worker is ready" healthy whisper
  healthy whisper
  same "uid of process 1" "$(awk '/^Uid:/ { print $2 }' "/proc/$(podman inspect --format '{{.State.Pid}}' "$run-whisper")/status")" 10001
  same "its capabilities" "$(awk '/^CapEff:/ { print $2 }' "/proc/$(podman inspect --format '{{.State.Pid}}' "$run-whisper")/status")" 0000000000000000
  same "transcription" "$(transcribed whisper 8000)" "$spoken"
  podman logs "$run-whisper" 2>"$work/log" >/dev/null
  grep -q '^{"timestamp"' "$work/log" || fail "the log is no JSON"
  holds "a worker on the read-only volume gets ready, says so to the health check, and transcribes"
  ends_well whisper
  holds "SIGTERM ends it with 0"

  contained serve "$network" --detach "${settings[@]}" --volume "$run-models:/models" "$image" serve >/dev/null
  wait_for 60 "the cache server is ready" healthy serve
  podman volume create "$run-other" >/dev/null
  contained client "$network" --rm "${settings[@]}" --env HF_ENDPOINT=http://127.0.0.1:8090 --user 1234567:7654321 \
    --volume "$run-other:/models" "$image" preload --all >/dev/null 2>"$work/client.log" || { cat "$work/client.log"; fail "client"; }
  holds "the cache server serves them to another user id, on an empty volume of its own"
  contained lid "$network" --detach "${settings[@]}" --env HF_HUB_OFFLINE=1 --user 54321:0 --volume "$run-other:/models" "$image" worker lid >/dev/null
  wait_for 120 "the worker is ready" podman exec "$run-lid" speech-flow health worker
  ask lid -F "file=@fixtures/audio/lid-jpn.flac" http://127.0.0.1:8000/v1/audio/language | grep -q jpn || fail "no Japanese"
  podman exec "$run-lid" speech-flow health
  ends_well lid
  ends_well serve
  holds "and to a third one, whose worker tells Japanese"
}

test_baked() {
  echo "image-test: models in the image"
  hub bake-hub host
  printf '%s' "$token" >"$work/token"
  HF_TOKEN_FILE=$work/token scripts/image.sh "speech-flow:$version-all" PRELOAD_MODELS=all "HF_ENDPOINT=$hub" \
    "WHISPER_MODEL_NAME=$whisper" "LID_MODEL_ID=$gated"
  podman rm -f -t 0 "$run-bake-hub" >/dev/null
  local baked=localhost/speech-flow:$version-all
  same "volumes" "$(podman image inspect --format '{{.Config.Volumes}}' "$baked")" 'map[]'

  mkdir "$work/layers"
  tar -C "$work/layers" -xf "$store/speech-flow-$version-all.tar"
  for layer in "$work"/layers/*.tar "$work"/layers/*/layer.tar; do
    if [ -f "$layer" ] && [ ! -L "$layer" ]; then
      mkdir "$layer.files"
      tar -C "$layer.files" -xf "$layer" --exclude='dev/*'
      rm "$layer"
    fi
  done
  find "$work/layers" -name models--demo--gated | grep -q . || fail "the gated model is in no layer"
  # The program knows the token of its own embedded hub: that it is found there shows that the search finds it.
  same "files with the token" "$(grep -rlF "$token" "$work/layers" | sed 's#^.*\.files/##')" usr/local/bin/speech-flow
  podman history --no-trunc "$baked" | grep -F "$token" && fail "the token is in the image's history"
  rm -rf "$work/layers"
  holds "a gated model is in it, and the token that fetched it is in no layer and no history"

  contained baked none --detach --user 1234567:7654321 "$baked" worker whisper >/dev/null
  wait_for 120 "the worker is ready" healthy baked
  same "transcription" "$(transcribed baked 8000)" "$spoken"
  ends_well baked
  holds "it starts with no network and no volume, as any user, and transcribes"
  contained baked-lid none --detach "$baked" worker lid >/dev/null
  wait_for 120 "the worker is ready" healthy baked-lid
  ends_well baked-lid
  contained baked-preload none --rm "$baked" preload --all --locked --json >/dev/null 2>&1 && fail "there is no lockfile to accept"
  contained baked-hit none "$baked" preload --all --json >"$work/hit.json" 2>/dev/null
  same "hits" "$(grep -o '"outcome":"hit"' "$work/hit.json" | wc -l)" 2
  contained baked-verify none --rm "$baked" verify >/dev/null 2>&1
  holds "both models are hits, and every file in it is right"
}

# Prometheus as Compose gets it from a registry, here from Debian's package.
make_prometheus() {
  buildah inspect --type image localhost/prometheus-of-debian >/dev/null 2>&1 && return
  printf 'FROM %s\nRUN apt-get update && apt-get install -y --no-install-recommends prometheus && mkdir -p /prometheus && chown 65534:65534 /prometheus\nUSER 65534:65534\nENTRYPOINT ["/usr/bin/prometheus"]\n' "$debian" |
    buildah build --isolation chroot --pull=never --quiet --tag localhost/prometheus-of-debian - >/dev/null
}

compose() {
  .venv-image/bin/podman-compose --project-name "$run" --in-pod false -f deploy/compose.yaml -f tests/deploy/compose-hub.yaml "$@"
}

test_compose() {
  echo "image-test: deploy/compose.yaml"
  .venv-image/bin/check-jsonschema --quiet --builtin-schema vendor.compose-spec deploy/compose.yaml tests/deploy/compose-hub.yaml
  holds "it is what the specification of Compose says"
  make_prometheus
  # An address of the loopback that nobody else uses.
  local address=127.$((RANDOM % 200 + 20)).$((RANDOM % 250)).1 name
  export SPEECH_FLOW_IMAGE=$image SPEECH_FLOW_BIND=$address PROMETHEUS_IMAGE=localhost/prometheus-of-debian
  export HF_ENDPOINT=http://hub:8080 WHISPER_MODEL_NAME=$whisper LID_MODEL_ID=$gated HF_TOKEN_FILE=$work/token
  printf '%s' "$token" >"$work/token"
  compose up --detach >"$work/compose.log" 2>&1 || { cat "$work/compose.log" >&2; fail "compose up"; }
  for name in cache whisper lid; do
    wait_for 180 "$name is healthy" compose exec "$name" speech-flow health
  done
  holds "preload, cache server and both workers come up, and their health checks say so"
  same "transcription" "$(curl -sSf -F "file=@$clip" -F response_format=text "http://$address:8000/v1/audio/transcriptions")" "$spoken"
  curl -sSf -F "file=@fixtures/audio/lid-jpn.flac" "http://$address:8001/v1/audio/language" | grep -q jpn || fail "no Japanese"
  curl -sSf "http://$address:8090/api/models/$whisper" | grep -q '"sha"' || fail "the cache server does not answer as a hub"
  holds "they transcribe, tell the language and serve models at the published ports"
  all_up() { [ "$(curl -sf "http://$address:9090/api/v1/targets" | grep -o '"health":"up"' | wc -l)" -eq 3 ]; }
  wait_for 60 "Prometheus scrapes all three" all_up
  [ "$(curl -sf "http://$address:9090/api/v1/rules" | grep -o '"type":"alerting"' | wc -l)" -gt 0 ] || fail "Prometheus has no rules"
  same "rules that Prometheus cannot evaluate" "$(curl -sf "http://$address:9090/api/v1/rules" | grep -o '"health":"err"' | wc -l)" 0
  holds "Prometheus scrapes all three, and its rules are evaluated"
  compose down --volumes >"$work/compose.log" 2>&1 || { cat "$work/compose.log" >&2; fail "compose down"; }
}

test_cuda() {
  echo "image-test: the image for NVIDIA GPUs"
  scripts/image.sh "speech-flow:$version-cuda" DEVICE=cuda
  local cuda=localhost/speech-flow:$version-cuda root
  root=$(podman image mount "$cuda")
  for library in libcublas.so.12 libcublasLt.so.12; do
    [ -s "$root/usr/local/lib/speech-flow/$library" ] || fail "there is no $library"
  done
  podman image unmount "$cuda" >/dev/null
  hub cuda-hub none
  contained cuda "container:$run-cuda-hub" --rm --env "HF_ENDPOINT=$hub" --env "WHISPER_MODEL_NAME=$whisper" --env WHISPER_DEVICE=cuda \
    --tmpfs /models --volume "$PWD/fixtures/audio:/audio:ro" "$cuda" transcribe /audio/en05.wav >"$work/cuda.log" 2>&1 && fail "there is no GPU here"
  grep -qi cuda "$work/cuda.log" || { cat "$work/cuda.log" >&2; fail "it does not say that there is no GPU"; }
  holds "it has cuBLAS, and says that this machine has no GPU"
}

debian=$(sed -n 's/^ARG DEBIAN_IMAGE=//p' deploy/Dockerfile)
[ $# -gt 0 ] || set -- plain baked compose
for variant; do
  case $variant in
    plain | baked | compose | cuda) "test_$variant" ;;
    *) fail "unknown variant \`$variant\`" ;;
  esac
done
echo "image-test: $said claims hold"

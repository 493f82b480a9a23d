#!/usr/bin/env bash
# Builds the image from deploy/Dockerfile with buildah, where Docker and a registry of images need not be at hand.
#
#   scripts/image.sh [TAG [BUILD-ARGUMENT...]]      such as: scripts/image.sh speech-flow:0.1.0-whisper PRELOAD_MODELS=whisper
#
# The two images that the Dockerfile starts from are made here, once: Debian from its packages (mmdebstrap), and Rust from
# this machine's toolchain. They and what is built are in a store of their own below target/image, so that nobody takes
# the stand-ins for the published ones. Every image is also written to target/image/NAME-TAG.tar, for `docker load` and
# `podman load`.
#
# HF_TOKEN_FILE names a file with the token for PRELOAD_MODELS. CARGO_ARGS goes to cargo: a trial without whole-program
# optimization builds in a third of the time. Variables for proxies, SSL_CERT_FILE, and the configuration of cargo and pip
# count for the build and leave nothing in the image.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
rust_image=$(sed -n 's/^ARG RUST_IMAGE=//p' deploy/Dockerfile)
debian_image=$(sed -n 's/^ARG DEBIAN_IMAGE=//p' deploy/Dockerfile)
store=$(realpath -m "${IMAGE_STORE:-target/image}")

tag=${1:-speech-flow:$version}
[ $# -eq 0 ] || shift

fail() {
  echo "image: $*" >&2
  exit 1
}

[ "$(id -u)" -eq 0 ] || fail "needs root: sudo env PATH=\"\$PATH\" make image"

# Works without systemd and with any layout of control groups.
write_store() {
  mkdir -p "$store"
  # What runs is forgotten with the machine's next start, and its path must be short.
  local running
  running=/run/speech-flow-image-$(cksum <<<"$store" | cut -d ' ' -f 1)
  cat >"$store/storage.conf" <<CONF
[storage]
driver = "overlay"
graphroot = "$store/store"
runroot = "$running"
CONF
  cat >"$store/containers.conf" <<'CONF'
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
}

build() { # build ARGUMENT...: with what this machine's network needs
  local flags=()
  # Authorities that this machine trusts; the image has those of its own package.
  [ -z "${SSL_CERT_FILE:-}" ] || flags+=(--volume "$(realpath "$SSL_CERT_FILE"):/etc/ssl/certs/ca-certificates.crt:ro")
  [ ! -f "${CARGO_HOME:-$HOME/.cargo}/config.toml" ] ||
    flags+=(--volume "${CARGO_HOME:-$HOME/.cargo}/config.toml:/usr/local/cargo/config.toml:ro")
  [ ! -f "${PIP_CONFIG_FILE:-/etc/pip.conf}" ] || flags+=(--volume "${PIP_CONFIG_FILE:-/etc/pip.conf}:/etc/pip.conf:ro")
  # HEALTHCHECK is lost in the OCI format. This buildah looks at stage names before it knows the arguments in them, so
  # it must be told to leave no stage out; those that are not asked for do nothing.
  buildah build --isolation chroot --pull=never --layers --skip-unused-stages=false --format docker "${flags[@]}" "$@"
}

has_image() { buildah inspect --type image "$1" >/dev/null 2>&1; }

# The image's name without its registry, as Docker shows it, stands for this machine's copy.
make_debian() {
  has_image "$debian_image" && return
  echo "image: making a stand-in for $debian_image from Debian's packages (once; a minute or two)"
  local work
  work=$(mktemp -d "$store/debian.XXXXXX")
  mmdebstrap --quiet --variant=minbase --include=ca-certificates bookworm "$work/root.tar" ||
    fail "Debian cannot be made from its packages"
  podman import --quiet "$work/root.tar" "$debian_image" >/dev/null
  rm -rf "$work"
}

make_rust() {
  has_image "$rust_image" && return
  local toolchain wanted
  toolchain=$(rustc --print sysroot)
  wanted=$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)
  [[ $(rustc --version) == "rustc $wanted "* ]] || fail "this machine's Rust is $(rustc --version), not $wanted"
  echo "image: making a stand-in for $rust_image from $toolchain (once)"
  build --quiet --build-arg "DEBIAN_IMAGE=$debian_image" --build-context "toolchain=$toolchain" \
    --file deploy/image/rust-base.Dockerfile --tag "$rust_image" deploy/image >/dev/null
}

arguments=() secrets=()
for argument; do arguments+=(--build-arg "$argument"); done
[ -z "${CARGO_ARGS:-}" ] || arguments+=(--build-arg "CARGO_ARGS=$CARGO_ARGS")
[ -z "${HF_TOKEN_FILE:-}" ] || secrets=(--secret "id=hf_token,src=$HF_TOKEN_FILE")
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)

write_store
exec 9>"$store/lock"
flock 9
export CONTAINERS_STORAGE_CONF="$store/storage.conf" CONTAINERS_CONF="$store/containers.conf"
make_debian
make_rust
echo "image: building $tag"
build "${arguments[@]}" "${secrets[@]}" --build-arg "VERSION=$version" --build-arg "REVISION=$revision" \
  --file deploy/Dockerfile --tag "localhost/$tag" .
archive=$store/${tag//[:\/]/-}.tar
rm -f "$archive"
podman save --quiet --format docker-archive --output "$archive" "localhost/$tag"
echo "image: localhost/$tag, $(podman image inspect --format '{{.Size}}' "localhost/$tag" | numfmt --to=si --suffix=B) unpacked, $(gzip -c "$archive" | wc -c | numfmt --to=si --suffix=B) compressed; $archive"

#!/usr/bin/env bash
# Installs the system packages that one purpose needs, and only those that are missing.
#
#   scripts/setup.sh build|test|bench|venv|objectstore|browser|image...
#
# Looks for each tool first. Where all are there, nothing runs and nothing is printed.
# Missing ones come from apt-get (with sudo when the caller is not root).
set -euo pipefail

packages=()

want() { # want PACKAGE COMMAND...: PACKAGE is needed unless COMMAND succeeds
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || packages+=("$package")
}

# Some folders are not on every user's PATH.
has() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1"; }

has_certificates() { test -s "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}"; }

need_build() {
  want build-essential has cc
  want build-essential has make
  want build-essential has c++
  # For libopus, which the decoder of Opus builds.
  want cmake has cmake
  want git has git
  want ca-certificates has_certificates
}

need_venv() {
  want python3-venv "$(dirname "$0")/find-python.sh"
  want ca-certificates has_certificates
}

# The object stores of the tests: Node.js runs one of them, scripts/objectstore.sh gets both.
need_objectstore() {
  need_build
  want nodejs has node
  want npm has npm
  want ca-certificates has_certificates
}

# The status page's tests: Node.js drives a real browser, scripts/browser.sh gets what it drives it with.
need_browser() {
  need_build
  want nodejs has node
  want npm has npm
  want chromium has chromium
  # Without a font there is no text.
  want fonts-dejavu-core test -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
}

need_test() {
  need_build
  need_venv
  # For `promtool`.
  want prometheus has promtool
  want curl has curl
  want strace has strace
  want util-linux has setpriv
  want bsdutils has script
  want procps test -x /bin/kill
  want mount has mount
  # Volumes without links: FAT where the kernel has it, else exFAT by FUSE.
  want dosfstools has mkfs.vfat
  want exfatprogs has mkfs.exfat
  want exfat-fuse has mount.exfat-fuse
  # Reads our metrics, and checks our rules with its promtool.
  want prometheus has promtool
  want prometheus has prometheus
  # The registry of the tests of artifacts.
  want docker-registry has docker-registry
}

need_bench() {
  need_build
  need_venv
  want curl has curl
  want nginx has nginx
  want aria2 has aria2c
  # The link of a hub behind a network.
  want iproute2 has tc
  # Recordings of real speech, with their words.
  want pocketsphinx-testdata test -d /usr/share/pocketsphinx/test/data
  want wrk has wrk
}

# Debian from its packages (mmdebstrap), images from it (buildah), containers from those (podman, runc, networks).
need_image() {
  need_build
  need_venv
  want buildah has buildah
  want podman has podman
  want runc has runc
  want conmon has conmon
  want netavark test -x /usr/lib/podman/netavark
  want aardvark-dns test -x /usr/lib/podman/aardvark-dns
  want mmdebstrap has mmdebstrap
  want curl has curl
  want util-linux has nsenter
  want uidmap has newuidmap
}

[ $# -gt 0 ] || { echo "usage: scripts/setup.sh build|test|bench|venv|objectstore|browser|image..." >&2; exit 2; }
for purpose in "$@"; do
  case $purpose in
    build | test | bench | venv | objectstore | browser | image) "need_$purpose" ;;
    *) echo "setup: unknown purpose \`$purpose\`" >&2; exit 2 ;;
  esac
done

if [ "${#packages[@]}" -gt 0 ]; then
  mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
  if ! command -v apt-get >/dev/null; then
    echo "setup: missing on this machine: ${packages[*]} (Debian's names); there is no apt-get, install them by hand" >&2
    exit 1
  fi
  root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
      echo "setup: missing: ${packages[*]}; run as root: apt-get install ${packages[*]}" >&2
      exit 1
    }
    root=(sudo)
  fi
  echo "setup: installing with apt-get: ${packages[*]}"
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
  # These packages start a service on a port of its own; benchmarks and tests start theirs, on a free port.
  for service in nginx prometheus docker-registry; do
    if [[ " ${packages[*]} " == *" $service "* ]] && [ -d /run/systemd/system ]; then
      echo "setup: stopping the $service service that the package has started"
      "${root[@]}" systemctl disable --now -q "$service" || true
    fi
  done
fi

if ! command -v cargo >/dev/null && [ ! -x "$HOME/.cargo/bin/cargo" ]; then
  echo "setup: there is no cargo; install Rust with rustup: https://rustup.rs" >&2
  exit 1
fi

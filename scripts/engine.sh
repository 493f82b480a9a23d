#!/usr/bin/env bash
# Sets up the speech engine in target/engine/lib: CTranslate2 from its PyPI wheel, and our shim compiled against the
# headers of the same version, which the crate `ct2rs` bundles. Does nothing when it is up to date.
#
#   scripts/engine.sh            the wheel
#   scripts/engine.sh source     from the sources in that crate instead, for the CPU only, into target/engine/source:
#                                `lib` is opened at run time (CTRANSLATE2_ROOT=target/engine/source), and the archive
#                                is what the cargo feature `source` of crates/ctranslate2 links. Needs cmake, and some
#                                ten CPU minutes the first time.
#
# CTRANSLATE2_ROOT names another installation of CTranslate2, with `include` and `lib`: the shim is then compiled
# against it and put into its `lib`. CXX names the compiler, PYTHON the Python that downloads the wheel.
# Two callers at once are fine: the second waits for the first.
set -euo pipefail
cd "$(dirname "$0")/.."

version=4.8.4 # as CTRANSLATE2_VERSION in crates/ctranslate2/src/library.rs
wheel_x86_64=1037b3f51d18f1546120686670d71fcdaf85a0500fffccc56d8439ded5d284e5
wheel_aarch64=bd6ed9d10b46b9bc2ee801ea9624acf28bd53ffddfd5e92d23b2340dbc4d6474
headers=0.10.3 # the release of `ct2rs` that bundles this CTranslate2
headers_sha256=edf9167bb229e98360fe2ae650bf44936bf043f11cf6e620994bd0ef51c6cf8c

shim=crates/ctranslate2/shim
shim_file=libspeech_flow_ct2.so
home=target/engine
compiler=${CXX:-c++}
root=${CTRANSLATE2_ROOT:-}

fail() {
  echo "engine: $*" >&2
  exit 1
}

[ "$(uname -s)" = Linux ] || fail "this step is for Linux; set up the engine by hand on $(uname -s)"
command -v "$compiler" >/dev/null || fail "there is no C++ compiler \`$compiler\`; run scripts/setup.sh build"
[ "${1:-wheel}" = wheel ] || [ "$1" = source ] || fail "usage: scripts/engine.sh [source]"
mkdir -p "$home"
home=$(realpath "$home")
exec 9>"$home/${1:-wheel}.lock"
flock 9

work=$(mktemp -d "$home/new.XXXXXX")
trap 'rm -rf "$work"' EXIT

up_to_date() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; } # up_to_date STAMP WANTED

# The wheel's libraries, into $home/lib.
fetch_wheel() {
  local arch python pip=()
  arch=$(uname -m)
  case $arch in
    x86_64 | aarch64) ;;
    *) fail "CTranslate2 has no wheel for $arch; build it and set CTRANSLATE2_ROOT" ;;
  esac
  python=$(scripts/find-python.sh) || fail "no Python 3.11 or newer with \`venv\`; run scripts/setup.sh venv"
  if "$python" -m pip --version >/dev/null 2>&1; then
    pip=("$python" -m pip)
  else
    "$python" -m venv "$work/python"
    pip=("$work/python/bin/python" -m pip)
  fi
  echo "engine: downloading CTranslate2 $version for $arch (once; about 60 MB)"
  echo "ctranslate2==$version --hash=sha256:$wheel_x86_64 --hash=sha256:$wheel_aarch64" >"$work/requirements.txt"
  "${pip[@]}" download --quiet --disable-pip-version-check --no-input --no-deps --require-hashes \
    --only-binary :all: --python-version 3.11 --platform "manylinux_2_28_$arch" \
    --dest "$work" -r "$work/requirements.txt" || fail "the wheel of CTranslate2 $version cannot be downloaded"
  mkdir "$work/lib"
  "$python" - "$work"/ctranslate2-*.whl "$work/lib" <<'PYTHON'
import pathlib, sys, zipfile

wheel, folder = zipfile.ZipFile(sys.argv[1]), pathlib.Path(sys.argv[2])
for name in wheel.namelist():
    path = pathlib.PurePosixPath(name)
    if name.endswith("/"):
        continue
    if path.parent.name == "ctranslate2.libs":
        (folder / path.name).write_bytes(wheel.read(name))
        (folder / path.name).chmod(0o755)
PYTHON
  rm -rf "$home/lib"
  mv "$work/lib" "$home/lib"
}

# Prints the folder of the headers: cargo checks the crate against its registry's checksum, we against ours.
find_headers() {
  local manifest=$home/headers/Cargo.toml sources
  mkdir -p "$home/headers/src"
  : >"$home/headers/src/lib.rs"
  cat >"$manifest" <<TOML
# Names the crate whose headers scripts/engine.sh uses. Nothing is built from it.
[package]
name = "engine-headers"
version = "0.0.0"
edition = "2021"
[workspace]
[dependencies]
ct2rs = { version = "=$headers", default-features = false }
TOML
  cargo metadata --quiet --format-version 1 --manifest-path "$manifest" >"$work/metadata.json" ||
    fail "the sources of ct2rs $headers cannot be fetched"
  grep -A 3 '^name = "ct2rs"$' "$home/headers/Cargo.lock" | grep -q "^checksum = \"$headers_sha256\"$" ||
    fail "ct2rs $headers has another checksum than $headers_sha256"
  sources=$(grep -o '"manifest_path":"[^"]*/ct2rs-'"$headers"'/Cargo.toml"' "$work/metadata.json" |
    head -n 1 | cut -d '"' -f 4)
  [ -n "$sources" ] || fail "cargo does not say where ct2rs $headers is"
  sources=$(dirname "$sources")/CTranslate2
  grep -qx "__version__ = \"$version\"" "$sources/python/ctranslate2/version.py" ||
    fail "ct2rs $headers bundles another CTranslate2 than $version"
  echo "$sources/include"
}

# The one CTranslate2 in a folder. Its file name carries its version, and so does the wheel's soname, by which the
# shim asks for it.
find_library() {
  local found=()
  mapfile -t found < <(find "$1" -maxdepth 1 -type f -name 'libctranslate2*.so*' | sort)
  [ "${#found[@]}" -eq 1 ] || fail "$1 has ${#found[@]} files \`libctranslate2*.so*\`, not one"
  [[ ${found[0]} == *".so.$version" ]] || fail "${found[0]} is not CTranslate2 $version, which the shim needs"
  echo "${found[0]}"
}

# Compiles the shim against the headers $1 and the library $2, into the folder of the library.
compile() {
  echo "engine: compiling the shim"
  "$compiler" -std=c++17 -O2 -Wall -Wextra -fPIC -fvisibility=hidden -shared -isystem "$1" \
    -DSPEECH_FLOW_CT2_VERSION="\"$version\"" "$shim/api.cc" -o "$work/$shim_file" "$2" \
    -Wl,-rpath,'$ORIGIN' -Wl,-z,defs || fail "the shim does not compile"
  cp "$work/$shim_file" "$(dirname "$2")/.$shim_file.new"
  if ldd "$(dirname "$2")/.$shim_file.new" | grep 'not found' >&2; then fail "the shim does not find its libraries"; fi
  # In one step, so that a process that is starting opens the old one or the new one.
  mv "$(dirname "$2")/.$shim_file.new" "$(dirname "$2")/$shim_file"
}

# CTranslate2 and the shim from source: one library that needs nothing but glibc, and one archive.
build_source() {
  local sources include out=$home/source archives=()
  command -v cmake >/dev/null || fail "there is no cmake; run scripts/setup.sh build"
  include=$(find_headers)
  sources=$(dirname "$include")
  echo "engine: building CTranslate2 $version from source (once; some ten CPU minutes)"
  cmake -S "$sources" -B "$home/build" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER="$compiler" \
    -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DBUILD_SHARED_LIBS=OFF -DBUILD_CLI=OFF -DWITH_MKL=OFF -DWITH_RUY=ON \
    -DOPENMP_RUNTIME=NONE -DCMAKE_POLICY_VERSION_MINIMUM=3.5 >"$work/cmake.log" 2>&1 &&
    cmake --build "$home/build" --parallel "$(nproc)" >>"$work/cmake.log" 2>&1 ||
    { tail -n 30 "$work/cmake.log" >&2; fail "CTranslate2 does not build"; }
  mapfile -t archives < <(find "$home/build" -name '*.a' | sort)
  "$compiler" -std=c++17 -O2 -Wall -Wextra -fPIC -fvisibility=hidden -isystem "$include" \
    -DSPEECH_FLOW_CT2_VERSION="\"$version\"" -c "$shim/api.cc" -o "$work/api.o" || fail "the shim does not compile"
  "$compiler" -shared "$work/api.o" -o "$work/$shim_file" -Wl,--start-group "${archives[@]}" -Wl,--end-group \
    -lpthread -ldl -Wl,-z,defs -Wl,--exclude-libs,ALL -static-libstdc++ -static-libgcc ||
    fail "the shim does not link"
  {
    echo "create $work/libspeech_flow_ct2.a"
    printf 'addlib %s\n' "${archives[@]}"
    # With the C++ library of this compiler, so that a program that links the archive needs nothing at run time.
    echo "addlib $("$compiler" -print-file-name=libstdc++.a)"
    printf 'addmod %s\nsave\nend\n' "$work/api.o"
  } | ar -M
  mkdir -p "$out/lib"
  mv "$work/$shim_file" "$out/lib/"
  mv "$work/libspeech_flow_ct2.a" "$out/"
}

made_from="$version $(uname -m) $("$compiler" --version | head -n 1) $(cat "$shim"/* "$0" | sha256sum)"

if [ "${1:-}" = source ]; then
  stamp=$home/source/.made-from
  if up_to_date "$stamp" "$made_from"; then exit 0; fi
  rm -f "$stamp"
  build_source
  printf '%s' "$made_from" >"$stamp"
  echo "engine: ready in target/engine/source"
  exit 0
fi

if [ -n "$root" ]; then
  # An installation that comes with its shim, such as target/engine/source, is ready as it is.
  if [ -f "$root/lib/$shim_file" ] && [ ! -e "$root/include" ]; then exit 0; fi
  [ -d "$root/include/ctranslate2" ] || fail "CTRANSLATE2_ROOT is \`$root\`, which has no include/ctranslate2"
  library=$(find_library "$root/lib")
  stamp=$root/lib/.speech-flow-shim
  if [ -f "$root/lib/$shim_file" ] && up_to_date "$stamp" "$made_from"; then exit 0; fi
  rm -f "$stamp"
  compile "$root/include" "$library"
  printf '%s' "$made_from" >"$stamp"
  echo "engine: ready in $root/lib"
  exit 0
fi

# The stamps are written last: a run that was cut off starts over.
wheel="$version $(uname -m) $wheel_x86_64 $wheel_aarch64"
if ! up_to_date "$home/lib/.wheel" "$wheel"; then
  fetch_wheel
  printf '%s' "$wheel" >"$home/lib/.wheel"
fi
if [ ! -f "$home/lib/$shim_file" ] || ! up_to_date "$home/lib/.shim" "$made_from"; then
  rm -f "$home/lib/.shim"
  library=$(find_library "$home/lib")
  include=$(find_headers)
  compile "$include" "$library"
  printf '%s' "$made_from" >"$home/lib/.shim"
  echo "engine: ready in target/engine/lib"
fi

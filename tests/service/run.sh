#!/bin/sh
# Boots Debian 12 with systemd as PID 1, installs the package there, and tries what operators rely on. Needs root;
# minutes the first time, when the system is fetched, later under 90 s, a fifth of it for the package.
set -eu
cd "$(dirname "$0")/../.."
[ "$(id -u)" = 0 ] || { echo "make service-test boots a system in a container: run it as root" >&2; exit 1; }
missing=""
command -v debootstrap >/dev/null || missing="$missing debootstrap"
command -v systemd-nspawn >/dev/null || missing="$missing systemd-container"
command -v unshare >/dev/null || missing="$missing util-linux"
command -v ip >/dev/null || missing="$missing iproute2"
[ -e /usr/bin/python3.11 ] || missing="$missing python3.11"
/usr/bin/python3.11 -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3.11-venv"
if [ -n "$missing" ]; then
    echo "installing$missing"
    apt-get update -q >/dev/null
    # shellcheck disable=SC2086 - a list of packages
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null
fi

# Debian 12 with nothing but systemd and Python, kept for the next time.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/quotawatt
base=$cache/debian-12.tar
if [ ! -e "$base" ]; then
    echo "fetching Debian 12"
    mkdir -p "$cache"
    fresh=$(mktemp -d "$cache/XXXXXX")
    trap 'rm -rf "$fresh"' EXIT
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,python3.11,procps,ca-certificates,libstdc++6 \
        bookworm "$fresh/root" ${DEBIAN_MIRROR:-} >"$cache/debootstrap.log" || { tail "$cache/debootstrap.log" >&2; exit 1; }
    rm -rf "$fresh"/root/var/cache/apt/archives/*.deb "$fresh"/root/var/lib/apt/lists/*
    tar -C "$fresh/root" -cf "$fresh/tar" .
    mv "$fresh/tar" "$base"
fi

ALSO=0.0.1 packaging/build.sh
# Five machines at a time, a file of tests each. Plug-ins that nobody asks for here would cost each of their processes
# half of its start.
idle="-p no:schemathesis -p no:hypothesispytest -p no:anyio"
# A network of our own: loopback, and nobody else on it. The machine's files lie in memory, and are gone with it:
# on a disk the installation alone takes half a minute.
files=$(mktemp -d)
trap 'rmdir "$files"' EXIT
# shellcheck disable=SC2086 - options
QUOTAWATT_BASE=$base unshare --net --mount sh -c 'ip link set lo up; mount -t tmpfs -o size=3g,mode=0700 machine "$0"; exec "$@"' \
    "$files" .venv/bin/python -m pytest -n 5 --dist loadfile -p no:cacheprovider $idle --basetemp="$files/tests" \
    tests/service "$@"

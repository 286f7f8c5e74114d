#!/bin/sh
# Boots Debian 12 with systemd as PID 1, installs the package there, and tries what operators rely on. Needs root;
# minutes the first time, when the system is fetched, later under 90 s, a fifth of it for the package.
# Whatever ends it, nothing of it stays but the fetched system, the package, and the journals in build/service.
set -eu
cd "$(dirname "$0")/../.."
say() { echo "service tests: $*"; }
[ "$(id -u)" = 0 ] || { say "make service-test boots a system in a container: run it as root" >&2; exit 1; }

missing=""
command -v debootstrap >/dev/null || missing="$missing debootstrap"
command -v systemd-nspawn >/dev/null || missing="$missing systemd-container"
command -v nsenter >/dev/null && command -v unshare >/dev/null || missing="$missing util-linux"
command -v flock >/dev/null && command -v setpriv >/dev/null || missing="$missing util-linux"
command -v ip >/dev/null || missing="$missing iproute2"
[ -e /usr/bin/python3.11 ] || missing="$missing python3.11"
/usr/bin/python3.11 -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3.11-venv"
if [ -n "$missing" ]; then
    say "installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    # An installation before this one may have been cut short.
    dpkg --configure -a
    # One archive of several may be out of reach that has nothing of what is wanted: the installation shows it.
    apt-get update -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120 >/dev/null || say "apt-get update had trouble"
    # shellcheck disable=SC2086 # a list of packages
    apt-get install -y -q --no-install-recommends -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120 $missing >/dev/null
fi

# Debian 12 with nothing but systemd and Python, kept for the next time: by what is in it, or another list would find it.
packages=systemd,systemd-sysv,dbus,python3.11,procps,ca-certificates,libstdc++6
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/quotawatt
base=$cache/debian-12-$(echo $packages | cksum | cut -d " " -f 1).tar
fetched() {
    rm -rf --one-file-system "$cache/fetching"
    mkdir -p "$cache/fetching"
    # What it mounts there is gone with it.
    unshare --mount debootstrap --variant=minbase --include=$packages bookworm "$cache/fetching/root" \
        ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} >"$cache/debootstrap.log" 2>&1 </dev/null
}
mkdir -p "$cache"
(
    flock 9
    [ -e "$base" ] && exit
    say "fetching Debian 12 into $cache"
    attempt=1
    until fetched; do
        tail -n 20 "$cache/debootstrap.log" >&2
        [ $attempt -lt 3 ] || { say "Debian 12 cannot be fetched" >&2; exit 1; }
        attempt=$((attempt + 1))
        say "fetching it again, attempt $attempt of 3"
        sleep 10
    done
    rm -rf "$cache"/fetching/root/var/cache/apt/archives/*.deb "$cache"/fetching/root/var/lib/apt/lists/*
    tar -C "$cache/fetching/root" -cf "$cache/fetching/tar" .
    mv "$cache/fetching/tar" "$base"
    rm -rf --one-file-system "$cache/fetching"
) 9>"$cache/lock"

say "building the package"
ALSO=0.0.1 packaging/build.sh </dev/null

# Of runs that were ended from outside; a group that somebody is in cannot be removed.
for tree in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
    [ ! -e $tree/cgroup.procs ] || find $tree -depth -path "$tree/quotawatt-*" -type d -exec rmdir {} + 2>/dev/null || true
done

# A network of our own: loopback, and nobody else on it. Processes of our own: none outlives the first of them.
# The machines' files lie in memory, and are gone with them: on a disk the installation alone takes half a minute.
files=$(mktemp -d) tests=""
# shellcheck disable=SC2317,SC2329 # the trap calls it
ended() {
    [ -z "$tests" ] || { kill -KILL "$tests"; wait "$tests" || true; } 2>/dev/null
    rm -rf --one-file-system "$files"
}
trap ended EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
place=disk
[ "$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo)" -lt 6 ] || place=tmpfs
say "five machines, a file of tests each, with their files in $place; their journals go into build/service"
# Plug-ins that nobody asks for here would cost each of the processes half of its start.
# shellcheck disable=SC2016 # for the shell inside
QUOTAWATT_BASE=$base setpriv --pdeathsig KILL \
    unshare --net --mount --pid --fork --kill-child --mount-proc sh -c '
        ip link set lo up
        [ "$0" = disk ] || mount -t tmpfs -o size=4g,mode=0700 machines "$1"
        shift
        "$@"
        exit $?' \
    $place "$files" .venv/bin/python -m pytest -n 5 --dist loadfile --timeout 900 --durations 8 --durations-min 5 \
    -p no:cacheprovider -p no:schemathesis -p no:hypothesispytest -p no:anyio --basetemp="$files/tests" \
    tests/service "$@" </dev/null &
tests=$!
status=0
wait "$tests" || status=$?
tests=""
exit $status

#!/bin/sh
# The tests check ledgers with a verifier in Node, too; installs the distribution's if it is missing.
set -eu
command -v node >/dev/null && exit 0
if [ "$(id -u)" = 0 ]; then as_root=""
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root=sudo
else
    echo "The tests need Node 18 or newer and this user cannot install it: sudo apt-get install nodejs" >&2; exit 1
fi
command -v apt-get >/dev/null || { echo "The tests need Node 18 or newer; install it with your system's package manager" >&2; exit 1; }
echo "installing Node for the tests"
$as_root apt-get update -q >/dev/null
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends nodejs >/dev/null

#!/bin/sh
# The end-to-end tests talk to a real mosquitto; installs the distribution's if it is missing.
set -eu
PATH="$PATH:/usr/sbin"
command -v mosquitto >/dev/null && exit 0
if [ "$(id -u)" = 0 ]; then as_root=""
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root=sudo
else
    echo "The tests need mosquitto and this user cannot install it: sudo apt-get install mosquitto" >&2; exit 1
fi
command -v apt-get >/dev/null || { echo "The tests need mosquitto; install it with your system's package manager" >&2; exit 1; }
echo "installing mosquitto for the tests"
$as_root apt-get update -q >/dev/null
# No service is wanted, only the program: the tests start their own on loopback.
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends mosquitto >/dev/null

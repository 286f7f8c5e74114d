#!/bin/sh
# Makes the virtual environment, or says which package is missing.
set -eu
python=$1 venv=$2
command -v "$python" >/dev/null || { echo "quotawatt needs $python (3.11 or newer): apt-get install python3" >&2; exit 1; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "quotawatt needs Python 3.11 or newer; $("$python" --version) is too old: make PYTHON=python3.11 …" >&2; exit 1; }
"$python" -c 'import venv, ensurepip' 2>/dev/null || {
    echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 1; }
"$python" -m venv "$venv"

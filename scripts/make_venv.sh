#!/bin/sh
# Make or refresh the virtual environment from a lock file: make_venv.sh FOLDER LOCK_FILE
# Needs Python 3.11 or newer and nothing else; says what to install when a part of Python is missing.
set -eu
folder=$1
lock=$2

say() { printf '%s\n' "$*" >&2; }

is_new_enough() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11 python; do
        if is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    say "Python 3.11 or newer is needed and was not found."
    say "On Debian or Ubuntu: apt-get install python3 python3-venv; elsewhere name one: make PYTHON=/path/to/python3 …"
    exit 1
}

require_venv_parts() {
    "$1" -c 'import venv, ensurepip' 2>/dev/null && return
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "Python $version is here, but not the part of it that makes virtual environments."
    say "On Debian or Ubuntu: apt-get install python$version-venv"
    exit 1
}

if ! "$folder/bin/python" -c 'import pip' 2>/dev/null; then
    python=$(find_python)
    require_venv_parts "$python"
    say "Making a virtual environment with $("$python" --version)"
    "$python" -m venv --clear "$folder"
fi

say "Installing what $lock names (a minute the first time)"
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$folder/bin/python" -m pip install -qq --require-hashes --requirement "$lock"
"$folder/bin/python" -m pip install -qq --no-deps --no-build-isolation --editable .

#!/bin/sh
# Runs Python from any folder: an active virtual environment first, then the repository's own.
trap 'echo Interrupted. >&2; exit 130' INT
root=$(CDPATH= cd -- "$(dirname -- "$(readlink -f -- "$0")")/.." && pwd)
if [ -n "$VIRTUAL_ENV" ]; then
    python=$VIRTUAL_ENV/bin/python
elif [ -x "$root/.venv/bin/python" ]; then
    python=$root/.venv/bin/python
else
    python=python3
fi
if ! "$python" -c '
import importlib.util, sys
sys.exit(sys.version_info < (3, 11) or not importlib.util.find_spec("click"))' 2>/dev/null; then
    echo "$python is older than 3.11 or lacks shardline. Run: pip install -e $root" >&2
    exit 1
fi
# Ctrl-C while Python starts would give a traceback: it waits for pipeline/interrupts.py, where
# coreutils (8.31 or newer) can hold it back.
hold=
if env --block-signal=INT true 2>/dev/null; then
    hold="env --block-signal=INT"
fi
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec $hold "$python" -P "$@"

#!/bin/sh
# Runs Python from any folder: an active virtual environment first, then the repository's own.
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
PYTHONPATH=$root${PYTHONPATH:+:$PYTHONPATH} exec "$python" -P "$@"

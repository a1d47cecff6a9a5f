"""Console scripts as an installation makes them, and files that hide our modules."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
# As pip writes it; our packages come last, as those of an editable installation.
_SCRIPT = """#!{python}
import sys
sys.path.append({root!r})
from {module} import {function}
if __name__ == "__main__":
    sys.exit({function}())
"""
# Modules of ours, of Python and of others that a folder of the user may have as well.
HIDING = (
    *("trainer.py", "tools.py", "benchmarks.py", "pipeline/__init__.py", "tests.py"),
    *("torch.py", "click.py", "queue.py", "random.py"),
)


def write_script(folder: Path, name: str = "shardline") -> Path:
    """Write the script `name` to `folder`, and return its path."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"][name].partition(":")
    script = folder / name
    values = {"python": sys.executable, "root": str(ROOT), "module": module, "function": function}
    folder.mkdir(parents=True, exist_ok=True)
    script.write_text(_SCRIPT.format(**values))
    script.chmod(0o755)
    return script


def hide_modules(folder: Path) -> None:
    """Write the modules HIDING to `folder`; a process that imports one says so and ends."""
    for name in HIDING:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"import os; os.write(2, b'{name} ran\\n'); os._exit(99)\n")


def variables(**more: str) -> dict[str, str]:
    """The environment of a user who has set nothing for Python, and `more`."""
    ours = ("PYTHONPATH", "PYTHONSAFEPATH")
    return {name: text for name, text in os.environ.items() if name not in ours} | more


def run(command: Sequence[object], folder: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in `folder` as such a user."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=variables(**more),
        capture_output=True,
        text=True,
        check=False,
    )

"""What a folder holds that was given for shards or for a run: ends of messages."""

from contextlib import suppress
from pathlib import Path

from pipeline.storage.manifest import MANIFEST_NAME
from pipeline.text import join_names

# tools/shard keeps what it needs to resume there, until the dataset is complete.
UNFINISHED = ".unfinished"
# The trainer writes it into each run; ``trainer.run.metrics_reader`` reads it.
METRICS_NAME = "metrics.jsonl"
# Most folders that a message names.
_NAMED = 3


def runs_in(folder: Path) -> list[Path]:
    """The runs in `folder`, by name."""
    return _folders_with(METRICS_NAME, folder)


def instead_of_shards(folder: Path) -> str:
    """What `folder` is, which holds no complete shards, and what to give or to do instead."""
    make = f"Make them with: tools/shard --src kaggle/ --out {folder}"
    with suppress(OSError):
        if not folder.exists():
            others = _folders_with(MANIFEST_NAME, folder.parent)
            return _such_as(others) if others else make
        if not folder.is_dir():
            is_inside = (folder.parent / MANIFEST_NAME).exists()
            return f"It is a file: give {folder.parent if is_inside else 'a folder of shards'}."
        if (folder / METRICS_NAME).exists():
            return "It is the directory of a run: give the folder of shards."
        if (folder / UNFINISHED).exists():
            return (
                f"It is not complete: tools/shard is still running or was interrupted. Run it "
                f"again with the same arguments, --out {folder} among them."
            )
        if others := _folders_with(MANIFEST_NAME, folder):
            return _such_as(others)
        if runs_in(folder):
            return "It holds runs: give the folder of shards."
        if any(folder.iterdir()):
            return (
                f"If it is a download, make shards of it: tools/shard --src {folder} --out shards/"
            )
    return make


def instead_of_run(folder: Path) -> str:
    """What to give instead of `folder`, which holds no run, and why."""
    with suppress(OSError):
        if folder.is_file():
            checkpoint = f"--checkpoint {folder}" if folder.suffix == ".pt" else "a directory"
            return f"it is a file, so give {checkpoint}."
        if (folder / MANIFEST_NAME).exists():
            return "it holds shards, so give the directory of a run, and other shards as --shards."
        if runs := runs_in(folder):
            return f"give a run, such as {_list(runs[::-1])}."
        if not folder.exists() and (runs := runs_in(folder.parent)):
            return f"give a run, such as {_list(runs[::-1])}."
    return "give the directory of a run, --out of the trainer."


def _folders_with(name: str, folder: Path) -> list[Path]:
    """The folders in `folder` that have a file `name`."""
    return [path.parent for path in sorted(folder.glob(f"*/{name}"))]


def _such_as(shards: list[Path]) -> str:
    return f"Give a folder of shards, such as {_list(shards)}."


def _list(folders: list[Path]) -> str:
    return join_names([str(folder) for folder in folders], _NAMED)

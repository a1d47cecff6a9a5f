"""Image files as shards, for a prediction: tools/shard stores them in a temporary folder."""

import csv
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.child_process import module_command, module_variables
from pipeline.errors import DataError, MisuseError
from pipeline.printable import restored
from pipeline.storage.manifest import REJECTED_NAME
from trainer.distributed.collectives import World
from trainer.prediction.config import PredictConfig
from trainer.prediction.source_files import source_files
from trainer.trained_run import open_run

# Images that a message names.
NAMED = 3


@contextmanager
def stored_images(
    config: PredictConfig, world: World, say: Callable[[str], None]
) -> Iterator[str | None]:
    """Store the images of --src as those of the run's shards are stored: the directory of the new
    shards, which exists as long as the context; without --src --shards. Rank 0 says which images
    are left out. All ranks must call this.

    Raises ``MisuseError`` if --src names no file, ``DataError`` if tools/shard fails.
    """
    if config.src is None:
        yield config.shards
        return
    if world.local_world_size < world.world_size:
        raise MisuseError("--src works on one machine only: make shards with tools/shard --like.")
    with tempfile.TemporaryDirectory(prefix="shardline-predict-") as name:
        out = Path(name) / "shards"
        with world.fail_together():
            if world.rank == 0:
                like = open_run(config.directories[0]).open_shards(config.shards).location
                _store(_folder(config.src, Path(name) / "images"), out, like)
                if rejected := _rejected(out):
                    say(f"Left out {len(rejected):,} of the files: {_listed(rejected)}.")
        yield world.broadcast(str(out))
        world.barrier()


def _folder(src: str, links: Path) -> Path:
    """The folder `src`, or a new folder `links` with a link to each file that the pattern matches,
    in the same subfolders."""
    files = source_files(src)
    if isinstance(files, Path):
        return files
    root = os.path.commonpath([file.parent for file in files])
    for file in files:
        link = links / file.relative_to(root)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
    return links


def _store(src: Path, out: Path, like: str) -> None:
    command = module_command("tools.cli", "--src", str(src), "--out", str(out))
    command += ["--like", like, "--follow-links", "--max-rejected", "1"]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, env=module_variables()
    )
    if result.returncode:
        reason = result.stderr.strip().removeprefix("Error: ") or result.stdout.strip()
        if rejected := _rejected(out):
            reason = f"none of them can be used: {_listed(rejected)}."
        raise DataError(f"tools/shard can't store the images of {src}: {reason}")


def _rejected(out: Path) -> list[str]:
    """Name and reason of each image that was rejected."""
    path = out / REJECTED_NAME
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = [list(map(restored, row)) for row in csv.reader(file)]
    return [f"{source} ({reason})" for source, reason in rows[1:]]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more

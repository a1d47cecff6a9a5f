"""The same images in each format that loaders are measured with, made once."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import click

from benchmarks.measuring.provenance import ROOT
from benchmarks.measuring.virtualenvs import CACHE
from pipeline.errors import DataError

DEFAULT_FOLDER = CACHE / "peer-data"
SIDE_PX = 256
FORMATS: dict[str, tuple[str, ...]] = {
    "jpeg": ("--encode", "keep"),
    "jpeg256": ("--encode", "jpeg", "--shortest-side", str(SIDE_PX)),
    "png": ("--encode", "png"),
}
# So many shards at least, that loaders which share them out among workers or shuffle them can.
SHARDS = 16


def prepare_format(folder: Path, src: Path, images: int, form: str) -> Path:
    """A folder with ``shards``, which tools/shard wrote of `images` in `src`, repeated if they are
    fewer, and ``files``, the same bytes a file each, in a folder by its label. Labels are made up:
    each image has its own, so that it can be seen that all came.

    What is there already is taken. Raises ``DataError`` where tools/shard fails.
    """
    from benchmarks.datasets.downloads import link_images

    ready = folder / f"{_name(src, images)}-{form}"
    if ready.exists():
        return ready
    click.echo(f"Making {images:,} images as {form} in {ready}.", err=True)
    unfinished = ready.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    download = link_images(src, unfinished / "source", images, classes=images)
    _shard(download, unfinished / "shards", FORMATS[form])
    shutil.rmtree(unfinished / "source")
    _unpack(unfinished / "shards", unfinished / "files")
    os.sync()  # pages that are not on the disk can't be dropped
    unfinished.rename(ready)
    return ready


def _name(src: Path, images: int) -> str:
    """Other images by the same folder's name are others."""
    files = sorted((str(p.relative_to(src)), p.stat().st_size) for p in src.rglob("*.*"))
    return f"{src.name}-{images}-{hashlib.sha256(json.dumps(files).encode()).hexdigest()[:8]}"


def _shard(src: Path, out: Path, arguments: tuple[str, ...]) -> None:
    command = [str(ROOT / "tools" / "shard"), "--src", str(src), "--out", str(out), "--val", "0"]
    total = sum(path.stat().st_size for path in src.rglob("*.*"))
    size = ("--shard-size", f"{max(total / SHARDS / 2**20, 0.01):.2f}")
    ended = subprocess.run(
        [*command, *arguments, *size],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"VIRTUAL_ENV": sys.prefix},
    )
    if ended.returncode:
        raise DataError(f"tools/shard failed on {src}: {ended.stderr.strip().splitlines()[-1:]}")


def _unpack(shards: Path, out: Path) -> None:
    """A sample's image lies beside its label in the tar."""
    for path in sorted(shards.glob("*.tar")):
        parts: dict[str, dict[str, bytes]] = {}
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, component = member.name.partition(".")
                file = tar.extractfile(member)
                assert file is not None, member.name
                parts.setdefault(key, {})[component] = file.read()
        for key, components in parts.items():
            target = out / f"{int(components.pop('cls')):07d}"
            target.mkdir(parents=True)
            ((component, data),) = components.items()
            (target / f"{key}.{component}").write_bytes(data)

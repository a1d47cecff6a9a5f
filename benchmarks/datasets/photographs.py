"""The images of the peers benchmark in each format, written once."""

import hashlib
import json
import os
import shutil
import tarfile
from pathlib import Path

from benchmarks.datasets.run_shard import run_shard
from benchmarks.measuring.virtualenvs import CACHE
from pipeline.console import print_line

DEFAULT_FOLDER = CACHE / "peer-data"
SIDE_PX = 256
FORMATS: dict[str, tuple[str, ...]] = {
    "jpeg": ("--encode", "keep"),
    "jpeg256": ("--encode", "jpeg", "--shortest-side", str(SIDE_PX)),
    "png": ("--encode", "png"),
}
# Enough shards for loaders that split them between workers or shuffle them.
SHARDS = 16


def prepare_format(folder: Path, src: Path, images: int, form: str) -> Path:
    """A folder in `folder` with ``shards`` of `images` images, and ``files``: the same bytes, one
    image a file, in a folder for each label. Images in `src` are repeated if they are fewer. Each
    has a label of its own, so that a check finds missing images.

    An existing folder is reused. Raises ``DataError`` if tools/shard fails.
    """
    from benchmarks.datasets.downloads import link_images

    ready = folder / f"{_name(src, images)}-{form}"
    if ready.exists():
        return ready
    print_line(f"Writing {images:,} images as {form} to {ready}.", err=True)
    unfinished = ready.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    download = link_images(src, unfinished / "source", images, classes=images)
    total = sum(path.stat().st_size for path in download.rglob("*.*"))
    shard_size = ("--shard-size", f"{max(total / SHARDS / 2**20, 0.01):.2f}")
    run_shard(download, unfinished / "shards", *FORMATS[form], *shard_size)
    shutil.rmtree(unfinished / "source")
    _unpack(unfinished / "shards", unfinished / "files")
    os.sync()  # the kernel can't drop pages that are not on the disk yet
    unfinished.rename(ready)
    return ready


def _name(src: Path, images: int) -> str:
    """A name that depends on the images."""
    files = sorted((str(p.relative_to(src)), p.stat().st_size) for p in src.rglob("*.*"))
    return f"{src.name}-{images}-{hashlib.sha256(json.dumps(files).encode()).hexdigest()[:8]}"


def _unpack(shards: Path, out: Path) -> None:
    """Write each image of the shards to a file."""
    for path in sorted(shards.glob("*.tar")):
        samples: dict[str, dict[str, bytes]] = {}
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, component = member.name.partition(".")
                file = tar.extractfile(member)
                assert file is not None, member.name
                samples.setdefault(key, {})[component] = file.read()
        for key, components in samples.items():
            target = out / f"{int(components.pop('cls')):07d}"
            target.mkdir(parents=True)
            ((component, data),) = components.items()
            (target / f"{key}.{component}").write_bytes(data)

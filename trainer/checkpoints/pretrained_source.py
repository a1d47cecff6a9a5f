"""Where ``--pretrained`` takes weights from: torchvision's for the model, a URL, or a file."""

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse

import torch
import torchvision

from pipeline.console import print_line
from pipeline.errors import DataError, MisuseError

IMAGENET = "imagenet"
_SCHEMES = ("http://", "https://")


@dataclass(frozen=True, kw_only=True)
class WeightsSource:
    """A file of weights.

    Attributes:
        path: the file; that of a URL lies in the cache of torch.hub.
        url: where it is downloaded from if it is missing; None if it is not.
        entry: torchvision's entry for these weights, a member of a ``WeightsEnum``; None for
            others.
    """

    path: Path
    url: str | None = None
    entry: Any = None

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"{self.entry} ({self.path})" if self.entry else str(self.path)


def find_source(pretrained: str, model: str) -> WeightsSource:
    """The source for a value of ``--pretrained``. A URL or file with the name of one of
    torchvision's files for `model`, which holds a part of its hash, is taken for that.

    Raises ``MisuseError`` if torchvision has no weights for `model`, or a URL names no file.
    """
    entries = _torchvision_entries(model)
    if pretrained == IMAGENET:
        if not entries:
            raise MisuseError(
                f"--pretrained {IMAGENET}: torchvision has no weights for {model}: give a file or "
                f"a URL of such weights, or another --model."
            )
        return _cached(entries.DEFAULT.url, entries.DEFAULT)
    is_url = pretrained.startswith(_SCHEMES)
    name = _file_name(pretrained) if is_url else Path(pretrained).name
    if not name:
        raise MisuseError(f"--pretrained {pretrained}: this URL does not end with a file name.")
    entry = next((entry for entry in entries if _file_name(entry.url) == name), None)
    if is_url:
        return _cached(pretrained, entry)
    return WeightsSource(path=Path(pretrained), entry=entry)


def download(source: WeightsSource) -> None:
    """Download the file of `source` if it is missing. It appears complete or not at all, and the
    hash in the name of torchvision's files is checked.

    Raises ``DataError`` without a network; it names the file to download by hand.
    """
    if source.url is None or source.path.exists():
        return
    name, folder = source.path.name, source.path.parent
    print_line(f"Downloading {source.url} to {source.path}.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(
            source.url,
            str(source.path),
            # "resnet18-f37072fd.pth" has the first digits of its SHA-256.
            hash_prefix=source.path.stem.rpartition("-")[2] if source.entry else None,
            progress=sys.stderr.isatty(),
        )
    # URLError and its subclasses are of OSError; a wrong hash is a RuntimeError.
    except (OSError, HTTPException, RuntimeError, ValueError) as error:
        raise DataError(
            f"--pretrained: cannot download {source.url} ({getattr(error, 'reason', error)}): "
            f"download the file on a machine with a network and put it into {folder} as {name}, or "
            f"give its path to --pretrained."
        ) from error


def _torchvision_entries(model: str) -> Any:
    """torchvision's weights of `model`, a subclass of ``WeightsEnum``, or nothing."""
    try:
        return torchvision.models.get_model_weights(model)
    except ValueError:
        nothing: Iterable[Any] = ()
        return nothing


def _cached(url: str, entry: Any) -> WeightsSource:
    """The file of `url` in the folder of ``torch.hub.load_state_dict_from_url``, and under its name
    if it is torchvision's; else a hash of the URL is before the name, which many sites may use."""
    name = _file_name(url)
    if entry is None:
        name = f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{name}"
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    return WeightsSource(path=path, url=url, entry=entry)


def _file_name(url: str) -> str:
    return PurePosixPath(urlparse(url).path).name

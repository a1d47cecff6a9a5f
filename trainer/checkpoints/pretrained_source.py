"""Where ``--pretrained`` takes weights from: published ones of the model, a URL, or a file."""

import hashlib
import sys
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.parse import urlparse

import torch

from pipeline.console import print_line
from pipeline.errors import DataError, MisuseError
from trainer.model.sources.source import KnownWeights, ModelSource

IMAGENET = "imagenet"
_SCHEMES = ("http://", "https://")


@dataclass(frozen=True, kw_only=True)
class WeightsSource:
    """A file of weights.

    Attributes:
        path: the file; that of a URL lies in the cache of torch.hub.
        url: where it is downloaded from if it is missing; None if it is not.
        entry: what is known of these weights; None if nothing is.
    """

    path: Path
    url: str | None = None
    entry: KnownWeights | None = None

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"{self.entry.title} ({self.path})" if self.entry else str(self.path)


def find_source(pretrained: str, model: ModelSource) -> WeightsSource:
    """The source for a value of ``--pretrained``. A URL or file with the name of a published file
    for `model`, which holds a part of its hash or a tag, is taken for that.

    Raises ``MisuseError`` if there are no published weights for `model`, or a URL names no file.
    """
    entries = model.known_weights()
    if pretrained == IMAGENET:
        if not entries:
            raise MisuseError(
                f"--pretrained {IMAGENET}: there are no such weights for {model.name}: give a file "
                f"or a URL of weights, or another --model."
            )
        return _cached(entries[0].url, entries[0])
    is_url = pretrained.startswith(_SCHEMES)
    name = _file_name(pretrained) if is_url else Path(pretrained).name
    if not name:
        raise MisuseError(f"--pretrained {pretrained}: this URL does not end with a file name.")
    entry = next((entry for entry in entries if entry.file_name == name), None)
    if is_url:
        return _cached(pretrained, entry)
    return WeightsSource(path=Path(pretrained), entry=entry)


def download(source: WeightsSource) -> None:
    """Download the file of `source` if it is missing. It appears complete or not at all, and the
    hash of published files is checked where it is known.

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
            hash_prefix=source.entry.hash_prefix if source.entry else None,
            progress=sys.stderr.isatty(),
        )
    # URLError and its subclasses are of OSError; a wrong hash is a RuntimeError.
    except (OSError, HTTPException, RuntimeError, ValueError) as error:
        raise DataError(
            f"--pretrained: cannot download {source.url} ({getattr(error, 'reason', error)}): "
            f"download the file on a machine with a network and put it into {folder} as {name}, or "
            f"give its path to --pretrained."
        ) from error


def _cached(url: str, entry: KnownWeights | None) -> WeightsSource:
    """The file of `url` in the folder of ``torch.hub.load_state_dict_from_url``, under its own name
    if it is a published one, unless another program has it already; else a hash of the URL is
    before the name, which many sites may use."""
    if entry is not None and entry.cached:
        return WeightsSource(path=Path(entry.cached), entry=entry)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if entry is not None:
        return WeightsSource(path=folder / entry.file_name, url=url, entry=entry)
    name = f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{_file_name(url)}"
    return WeightsSource(path=folder / name, url=url)


def _file_name(url: str) -> str:
    return PurePosixPath(urlparse(url).path).name

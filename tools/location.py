"""A folder here, or anything that fsspec reaches."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.storage.remote import open_url


@dataclass(frozen=True)
class Location:
    """`url`: a folder or an fsspec URL; cheap to pickle."""

    url: str

    @cached_property
    def local(self) -> Path | None:
        """The folder, if it is one of this machine."""
        protocol, found, path = self.url.partition("://")
        if not found:
            return Path(self.url)
        return Path(path) if protocol == "file" else None

    @cached_property
    def remote(self) -> tuple[Any, str]:
        """The file system of a URL and the path in it; raises ``MisuseError``."""
        return open_url(self.url)

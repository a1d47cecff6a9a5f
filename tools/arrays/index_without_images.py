"""The index of a download that has arrays, but no images and no tables.

``index_files`` refuses such a download. This module goes away when it accepts one.
"""

from collections.abc import Collection
from pathlib import Path

from pipeline.errors import DataError
from tools.arrays.array_files import has_arrays
from tools.download import file_index
from tools.download.file_index import FileIndex, index_files
from tools.download.listing import Listing


def index_download(
    src: str, *, images: str | None = None, follow_links: bool = False, skip: Collection[Path] = ()
) -> FileIndex:
    """As ``index_files``, also for a download of arrays only."""
    try:
        return index_files(src, images=images, follow_links=follow_links, skip=skip)
    except DataError:
        listing = Listing()
        try:
            storage, files = file_index._list_files(src, follow_links, skip)
            for file in files:
                listing.add(storage, file)
        except OSError:
            listing = Listing()
        if listing.images.paths or not has_arrays(listing.others.paths):
            raise
        return file_index._make_index(storage, listing, "")

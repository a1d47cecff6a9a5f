"""``tools/shard`` and the console script ``shard``."""

from typing import Any

import click

from pipeline.options import Command, options, pick_fields
from tools.commands import needs_packages
from tools.config import ShardConfig


@click.command(cls=Command, name="shard", epilog="Next: tools/show OUT, bench-loader --shards OUT")
@options(ShardConfig)
def main(**values: Any) -> None:
    """Convert a Kaggle download of images to WebDataset shards.

    Detects the images and labels, prints what it detected and what it will do, and writes tar
    files, an index and dataset.json. Options override everything that it detects.
    """
    config = pick_fields(ShardConfig, values)
    # Imported here so that --help does not load OpenCV and Arrow. The fork server loads them at the
    # same time as this process.
    from tools.workers import start_fork_server

    modules = ("tools.writing.block_encoding", "tools.pixel_tables.collect")
    start_fork_server((*modules, "tools.duplicates.equal_files"))
    with needs_packages():
        from tools.sharding import make_shards
    make_shards(config)


if __name__ == "__main__":
    main(prog_name="tools/shard")

"""``tools/shard`` and the console script ``shard``."""

from typing import Any

import click

from pipeline.options import Command, options, pick_fields
from tools.commands import needs_packages
from tools.config import ShardConfig


@click.command(cls=Command, name="shard", epilog="Then: tools/show OUT, bench-loader --shards OUT")
@options(ShardConfig)
def main(**values: Any) -> None:
    """Turn a Kaggle download of images into WebDataset shards.

    Finds out where the images and labels are, says what it found and what it will do, and writes
    tars, an index and dataset.json. Every guess has an option that overrides it.
    """
    config = pick_fields(ShardConfig, values)
    # The imports are here and not above for the sake of --help, which needs neither OpenCV nor
    # Arrow; the fork server loads them at the same time as this process.
    from tools.workers import start_fork_server

    start_fork_server(("tools.writing.block_encoding", "tools.pixel_tables.collect"))
    with needs_packages():
        from tools.sharding import make_shards
    make_shards(config)


if __name__ == "__main__":
    main(prog_name="tools/shard")

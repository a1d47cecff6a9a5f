"""What the manifest says after an append."""

import re
from collections.abc import Sequence
from dataclasses import replace

from pipeline.printable import printable
from pipeline.storage.dataset import SplitIndex
from pipeline.storage.manifest import Addition, Manifest, Split, joined
from tools.base import Base
from tools.config import ShardConfig
from tools.writing.shard_file import ShardRecord

# In a URL.
_PASSWORD = re.compile(r"//[^/@]*@")


def split_of(records: Sequence[ShardRecord], classes: int, old: SplitIndex | None = None) -> Split:
    """The facts about the shards of `old`, which may know fewer of the `classes`, and of `records`
    behind them."""
    parts = [] if old is None else [old.split]
    parts += [
        Split(shards=(one.shard,), labeled=one.labeled, class_counts=one.class_counts)
        for one in records
    ]
    return joined(
        replace(part, class_counts=part.class_counts + (0,) * (classes - len(part.class_counts)))
        for part in parts
    )


def with_history(
    manifest: Manifest, base: Base, digests: dict[str, str], config: ShardConfig, tool: str
) -> Manifest:
    """The manifest of `base` and what was added, with a line of history; `digests` are those of the
    new files but tars. Mean and standard deviation stay, because weights rely on them."""
    old = base.manifest.splits
    grown = {
        name: (
            len(split.shards) - (len(old[name].shards) if name in old else 0),
            split.samples - (old[name].samples if name in old else 0),
        )
        for name, split in manifest.splits.items()
    }
    addition = Addition(
        after=base.fingerprint,
        src=_PASSWORD.sub("//", printable(config.src)),
        tool=tool,
        arguments=config.shaping,
        classes=len(base.manifest.classes),
        shards={name: shards for name, (shards, _) in grown.items() if shards},
        samples={name: samples for name, (_, samples) in grown.items() if samples},
    )
    kept = {name: sha256 for name, sha256 in manifest.files.items() if name.endswith(".idx")}
    return replace(
        manifest,
        files=dict(sorted((kept | digests).items())),
        history=(*manifest.history, addition),
        has_own_sha256=True,
    )

"""What an append needs of the shards that stand, and of an append before it that was killed."""

import re
from dataclasses import replace
from pathlib import Path

from pipeline.errors import DataError
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import SPLITS
from pipeline.text import join_names, plural
from tools.base import Base
from tools.checking.check import check_shards
from tools.config import ShardConfig
from tools.console import Output
from tools.readings.detect import Detection
from tools.workers import default_workers
from tools.writing.output_folder import Store
from tools.writing.shard_run import read_plan

_SHOWN_FINDINGS = 10
_SHARD = re.compile(rf"({'|'.join(SPLITS)})-(\d+)\.(?:tar|idx)")


def prepare_append(base: Base, config: ShardConfig, store: Store, output: Output) -> None:
    """Remove what a run left that wrote the manifest and was killed then; check every byte of the
    shards, in a local folder. The output must be locked.

    Raises ``DataError`` for findings, or if the shards are not those of `base` any more.
    """
    if Dataset(config.out).fingerprint != base.fingerprint:
        raise DataError(
            f"Another tools/shard has changed {config.out} since this one began: run the same "
            f"command again."
        )
    plan = read_plan(store)
    if plan is None or plan.get("after") != base.fingerprint:
        store.clean_up(base.manifest.files)
        left = sorted(name for name in store.names() if _is_left(name, base))
        for name in left:
            store.remove(name)
        if left:
            output.print(f"Removed {plural(len(left), 'file')} of an append that was given up.")
    if store.local is not None:
        workers = config.workers or default_workers()
        check_shards(Path(store.local), decode=False, workers=workers, limit=_SHOWN_FINDINGS)


def _is_left(name: str, base: Base) -> bool:
    """Whether a file is of a shard behind those of `base`."""
    shard = _SHARD.fullmatch(name)
    return shard is not None and int(shard[2]) >= base.start(shard[1])[0]


def without_submissions(detection: Detection, output: Output) -> Detection:
    """An append leaves the rows of the sample submission as they are."""
    if detection.submissions:
        names = join_names([one.table.name for one in detection.submissions])
        output.print(f"Not used: {names}. An append keeps the sample submission of the shards.")
    return replace(detection, submissions=())

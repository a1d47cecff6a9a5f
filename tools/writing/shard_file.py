"""One shard: blocks' stretches of tar put in a row, hashed, indexed, and recorded as finished."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.manifest import IMAGE_COMPONENTS, Shard, index_name
from tools.writing.blocks import RESULT_DTYPE, BlockResult
from tools.writing.shard_plan import PlannedShard
from tools.writing.store import UNFINISHED, Store
from tools.writing.tar import END, index_text


@dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """What is known of a finished shard, but for its rows. `rejected`: keys and why; `shown`: in
    how many samples each class is; `index_sha256` is that of the .idx, in hex."""

    split: str
    name: str
    samples: int
    bytes: int
    sha256: str
    index_sha256: str
    rejected: tuple[tuple[int, str], ...]
    shown: tuple[int, ...]

    @property
    def shard(self) -> Shard:
        return Shard(name=self.name, samples=self.samples, bytes=self.bytes, sha256=self.sha256)


def write_shard(
    shard: PlannedShard, results: Iterable[BlockResult], *, target: str, folder: Path, store: Store
) -> ShardRecord:
    """Make the tar of `results` in `folder` and put it, its .idx, its rows and its record into
    `store`, in this order. Raises ``OSError``."""
    path = folder / shard.name
    digest, size_bytes = hashlib.sha256(), 0
    rows, shown = [], []
    rejected: list[tuple[int, str]] = []
    with path.open("wb") as file:
        for result in results:
            for part in result.parts:
                data = part.read_bytes()
                part.unlink()
                file.write(data)
                digest.update(data)
            some = result.rows
            some["offset"] += size_bytes
            some["target_offset"] += size_bytes
            size_bytes += result.size_bytes
            rows.append(some)
            rejected += result.rejected
            shown.append(result.shown)
        file.write(END)
        digest.update(END)
    table = np.concatenate(rows)
    index = index_text(
        target, table, [IMAGE_COMPONENTS[n] for n in table["component"].tolist()]
    ).encode("ascii")
    record = ShardRecord(
        split=shard.split,
        name=shard.name,
        samples=len(table),
        bytes=size_bytes + len(END),
        sha256=digest.hexdigest(),
        index_sha256=hashlib.sha256(index).hexdigest(),
        rejected=tuple(rejected),
        shown=tuple(np.sum(shown, axis=0).tolist()),
    )
    if record.samples:
        store.put(path, shard.name)
        _put(index, index_name(shard.name), folder, store)
    else:
        path.unlink()
    _put(table.tobytes(), rows_name(shard.name), folder, store)
    _put(json.dumps(asdict(record)).encode(), record_name(shard.name), folder, store)
    return record


def record_name(shard: str) -> str:
    return f"{UNFINISHED}/{shard}.json"


def rows_name(shard: str) -> str:
    return f"{UNFINISHED}/{shard}.rows"


def read_record(store: Store, shard: PlannedShard) -> ShardRecord:
    """The record of a shard that is finished."""
    fields: dict[str, Any] = json.loads(store.read(record_name(shard.name)))
    fields["rejected"] = tuple((key, reason) for key, reason in fields["rejected"])
    return ShardRecord(**fields | {"shown": tuple(fields["shown"])})


def read_rows(store: Store, shard: str) -> NDArray[np.void]:
    """RESULT_DTYPE rows of a finished shard, offsets in bytes of its tar."""
    return np.frombuffer(store.read(rows_name(shard)), RESULT_DTYPE)


def _put(data: bytes, name: str, folder: Path, store: Store) -> None:
    path = folder / Path(name).name
    path.write_bytes(data)
    store.put(path, name)

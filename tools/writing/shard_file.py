"""Write one shard: concatenate the segments of its blocks, hash, index and record it."""

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
    """Facts about a finished shard. `rejected`: keys and reasons; `class_counts`: samples that show
    each class; `index_sha256`: of the .idx, in hex."""

    split: str
    name: str
    samples: int
    bytes: int
    sha256: str
    index_sha256: str
    rejected: tuple[tuple[int, str], ...]
    class_counts: tuple[int, ...]

    @property
    def shard(self) -> Shard:
        return Shard(name=self.name, samples=self.samples, bytes=self.bytes, sha256=self.sha256)


def write_shard(
    shard: PlannedShard, results: Iterable[BlockResult], *, target: str, folder: Path, store: Store
) -> ShardRecord:
    """Write the tar of `results` in `folder`, and put it, its .idx, its rows and its record into
    `store`, in this order. Raises ``OSError``."""
    path = folder / shard.name
    digest, size_bytes = hashlib.sha256(), 0
    tables, class_counts = [], []
    rejected: list[tuple[int, str]] = []
    with path.open("wb") as file:
        for result in results:
            for part in result.parts:
                data = part.read_bytes()
                part.unlink()
                file.write(data)
                digest.update(data)
            result.rows["offset"] += size_bytes
            result.rows["target_offset"] += size_bytes
            size_bytes += result.size_bytes
            tables.append(result.rows)
            rejected += result.rejected
            class_counts.append(result.class_counts)
        file.write(END)
        digest.update(END)
    rows = np.concatenate(tables)
    components = [IMAGE_COMPONENTS[n] for n in rows["component"].tolist()]
    index = index_text(target, rows, components).encode("ascii")
    record = ShardRecord(
        split=shard.split,
        name=shard.name,
        samples=len(rows),
        bytes=size_bytes + len(END),
        sha256=digest.hexdigest(),
        index_sha256=hashlib.sha256(index).hexdigest(),
        rejected=tuple(rejected),
        class_counts=tuple(np.sum(class_counts, axis=0).tolist()),
    )
    if record.samples:
        store.put(path, shard.name)
        store.write(index, index_name(shard.name), folder)
    else:
        path.unlink()
    store.write(rows.tobytes(), rows_name(shard.name), folder)
    store.write(json.dumps(asdict(record)).encode(), record_name(shard.name), folder)
    return record


def record_name(shard: str) -> str:
    return f"{UNFINISHED}/{shard}.json"


def rows_name(shard: str) -> str:
    return f"{UNFINISHED}/{shard}.rows"


def read_record(store: Store, shard: PlannedShard) -> ShardRecord:
    """The record of a finished shard."""
    fields: dict[str, Any] = json.loads(store.read(record_name(shard.name)))
    fields["rejected"] = tuple((key, reason) for key, reason in fields["rejected"])
    return ShardRecord(**fields | {"class_counts": tuple(fields["class_counts"])})


def read_rows(store: Store, shard: str) -> NDArray[np.void]:
    """RESULT_DTYPE rows of a finished shard, offsets in bytes of its tar."""
    return np.frombuffer(store.read(rows_name(shard)), RESULT_DTYPE)

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
from tools.writing.blocks import RESULT_DTYPE, BlockResult, merge_results
from tools.writing.output_folder import UNFINISHED, Store
from tools.writing.shard_plan import PlannedShard
from tools.writing.tar import END, index_text


@dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """Facts about a finished shard. `labeled`: samples with a label; `rejected`: keys and reasons;
    `class_counts`: samples that show each class; `index_sha256`: of the .idx, in hex."""

    split: str
    name: str
    samples: int
    labeled: int
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
    path, digest, done = folder / shard.name, hashlib.sha256(), []
    with path.open("wb") as file:
        for result in results:
            for part in result.parts:
                data = part.read_bytes()
                part.unlink()
                file.write(data)
                digest.update(data)
            done.append(result)
        file.write(END)
        digest.update(END)
    merged = merge_results(done)
    components = [IMAGE_COMPONENTS[n] for n in merged.rows["component"].tolist()]
    index = index_text(target, merged.rows, components).encode("ascii")
    record = ShardRecord(
        split=shard.split,
        name=shard.name,
        samples=len(merged.rows),
        labeled=int(np.count_nonzero(merged.rows["target_size"])),
        bytes=merged.size_bytes + len(END),
        sha256=digest.hexdigest(),
        index_sha256=hashlib.sha256(index).hexdigest(),
        rejected=merged.rejected,
        class_counts=tuple(merged.class_counts.tolist()),
    )
    if record.samples:
        store.put(path, shard.name)
        store.write(index, index_name(shard.name), folder)
    else:
        path.unlink()
    store.write(merged.rows.tobytes(), rows_name(shard.name), folder)
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

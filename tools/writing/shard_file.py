"""Write one shard: concatenate the segments of its blocks, hash, index and record it."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.storage.folder_kinds import UNFINISHED
from pipeline.storage.manifest import IMAGE_COMPONENTS, Shard, index_name
from pipeline.storage.stated_values import any_object, parse_json
from tools.writing.blocks import RESULT_DTYPE, BlockResult, merge_results
from tools.writing.output_folder import Store
from tools.writing.shard_plan import PlannedShard
from tools.writing.tar import END, index_text


@dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """Facts about a finished shard. `labeled`: samples with a label; `rejected`: keys and reasons;
    `class_counts`: samples that show each class; `index_sha256`, `rows_sha256`: of the .idx and
    of the rows, in hex; `left_out`: keys of copies that the shard had, each with split and key of
    the equal sample that is kept."""

    split: str
    name: str
    samples: int
    labeled: int
    bytes: int
    sha256: str
    index_sha256: str
    rows_sha256: str
    rejected: tuple[tuple[int, str], ...]
    class_counts: tuple[int, ...]
    left_out: tuple[tuple[int, str, int], ...] = ()

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
    index = _index(target, merged.rows)
    rows = merged.rows.tobytes()
    record = ShardRecord(
        split=shard.split,
        name=shard.name,
        samples=len(merged.rows),
        labeled=int(np.count_nonzero(merged.rows["target_size"])),
        bytes=merged.size_bytes + len(END),
        sha256=digest.hexdigest(),
        index_sha256=hashlib.sha256(index).hexdigest(),
        rows_sha256=hashlib.sha256(rows).hexdigest(),
        rejected=merged.rejected,
        class_counts=tuple(merged.class_counts.tolist()),
    )
    _put(record, path, index, rows, store)
    return record


def replace_shard(
    record: ShardRecord, rows: NDArray[np.void], path: Path, *, target: str, store: Store
) -> ShardRecord:
    """Put the tar `path`, which has the samples `rows`, in place of the shard of `record`, which
    has the other facts; returns the new record. Raises ``OSError``."""
    index, contents = _index(target, rows), rows.tobytes()
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    record = replace(
        record,
        samples=len(rows),
        labeled=int(np.count_nonzero(rows["target_size"])),
        bytes=path.stat().st_size,
        sha256=sha256,
        index_sha256=hashlib.sha256(index).hexdigest(),
        rows_sha256=hashlib.sha256(contents).hexdigest(),
    )
    if not record.samples:
        store.remove(record.name)
        store.remove(index_name(record.name))
    _put(record, path, index, contents, store)
    return record


def _index(target: str, rows: NDArray[np.void]) -> bytes:
    components = [IMAGE_COMPONENTS[n] for n in rows["component"].tolist()]
    return index_text(target, rows, components).encode("ascii")


def _put(record: ShardRecord, path: Path, index: bytes, rows: bytes, store: Store) -> None:
    """Put the tar `path`, its .idx, its rows and its record, in this order."""
    folder = path.parent
    if record.samples:
        store.put(path, record.name)
        store.write(index, index_name(record.name), folder)
    else:
        path.unlink()
    store.write(rows, rows_name(record.name), folder)
    facts = asdict(record)
    text = json.dumps({"sha256": _sha256_of(facts), "record": facts})
    store.write(text.encode(), record_name(record.name), folder)


def record_name(shard: str) -> str:
    return f"{UNFINISHED}/{shard}.json"


def rows_name(shard: str) -> str:
    return f"{UNFINISHED}/{shard}.rows"


def read_record(store: Store, shard: PlannedShard) -> ShardRecord | None:
    """The record of a finished shard; None if a file of the shard, or the record, is not as it was
    written, so that the shard must be written again."""
    try:
        record = _parse_record(store.read(record_name(shard.name)), shard)
        stated = {rows_name(shard.name): record.rows_sha256}
        if record.samples:
            if store.size_bytes(shard.name) != record.bytes:
                return None
            # The tars of a remote output are too large to fetch.
            stated |= {shard.name: record.sha256} if store.local else {}
            stated[index_name(shard.name)] = record.index_sha256
        is_intact = all(store.sha256(name) == sha256 for name, sha256 in stated.items())
    except (OSError, ValueError, TypeError, LookupError):
        return None
    return record if is_intact else None


def _parse_record(data: bytes, shard: PlannedShard) -> ShardRecord:
    """Raises ``ValueError`` or ``TypeError`` for anything but a record of `shard`."""
    stored = any_object(parse_json(data.decode()))
    fields = any_object(stored["record"])
    if stored["sha256"] != _sha256_of(fields):
        raise ValueError("the record is damaged")
    rejected = tuple((int(key), str(reason)) for key, reason in fields["rejected"])
    counts = tuple(map(int, fields["class_counts"]))
    left_out = tuple((int(key), str(split), int(kept)) for key, split, kept in fields["left_out"])
    lists = {"rejected": rejected, "class_counts": counts, "left_out": left_out}
    record = ShardRecord(**fields | lists)
    if (record.split, record.name) != (shard.split, shard.name):
        raise ValueError("it is the record of another shard")
    return record


def _sha256_of(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def read_rows(store: Store, shard: str) -> NDArray[np.void]:
    """RESULT_DTYPE rows of a finished shard, offsets in bytes of its tar."""
    return np.frombuffer(store.read(rows_name(shard)), RESULT_DTYPE)

"""Shard directories of every task, written with tarfile and csv from docs/format.md: readers are
tested without the code of the writer."""

import csv
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from numpy.typing import NDArray

from pipeline.storage.manifest import (
    MASK_DTYPE,
    SAMPLE_DTYPE,
    TARGET_COMPONENTS,
    Manifest,
    Shard,
    Split,
)


def picture(number: int, height: int, width: int) -> NDArray[np.uint8]:
    """Smooth colors that depend on `number`: uint8 (height, width, 3)."""
    coarse = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def mask(number: int, height: int, width: int, classes: int) -> NDArray[np.uint8]:
    """A disc of one class on class 0, with a rim that is 255: uint8 (height, width)."""
    pixels = np.zeros((height, width), np.uint8)
    center, radius = (width // 2, height // 2), min(height, width) // 3
    cv2.circle(pixels, center, radius + 2, 255, -1)
    cv2.circle(pixels, center, radius, 1 + number % (classes - 1), -1)
    return pixels


def write_shards(
    out: Path,
    task: str = "classification",
    *,
    classes: Sequence[str] = ("cat", "dog", "unicorn"),
    targets: Sequence[str] = (),
    samples: int = 24,
    shards: int = 2,
    rejected: Sequence[tuple[str, str]] = (),
    split: str = "train",
    unlabeled: Collection[int] = (),
    version: int = 3,
) -> Path:
    """One split, in which the samples `unlabeled` have no target; every seventh key is missing.
    Images are JPEG and PNG in turn."""
    out.mkdir(parents=True)
    keys = [key for key in range(2 * samples) if key % 7 != 3][:samples]
    rows, masks, floats, stated = [], [], [], []
    sizes = [(40 + key % 9, 60 - key % 5) for key in keys]
    for number, part in enumerate(np.array_split(np.arange(samples), shards)):
        path = out / f"{split}-{number:06d}.tar"
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            lines = []
            for sample in part.tolist():
                key, (height, width) = keys[sample], sizes[sample]
                label = key % max(1, len(classes))
                component = ("jpg", "png")[sample % 2]
                _, image = cv2.imencode(f".{component}", picture(key, height, width))
                if task == "classification":
                    digits = len(str(len(classes) - 1)) if version == 2 else 4
                    target = str(label).zfill(digits).encode()
                elif task == "segmentation":
                    _, encoded = cv2.imencode(".png", mask(key, height, width, len(classes)))
                    target = encoded.tobytes()
                else:
                    values = np.float32(
                        [_value(task, key, n) for n in range(len(targets or classes))]
                    )
                    floats.append(np.full_like(values, np.nan) if sample in unlabeled else values)
                    buffer = io.BytesIO()
                    np.save(buffer, values)
                    target = buffer.getvalue()
                name, line = TARGET_COMPONENTS[task], ""
                if sample in unlabeled:
                    label, (before, target) = -1, (0, b"")
                else:
                    before = _add(tar, f"{key:09d}.{name}", target)
                    line = f"{name} {before} {len(target)} {key:09d}.{name} "
                offset = _add(tar, f"{key:09d}.{component}", image.tobytes())
                lines.append(f"{line}{component} {offset} {len(image)} {key:09d}.{component}\n")
                masks.append((before, len(target), zlib.crc32(target)))
                shown = label if task == "classification" else -1
                crc = zlib.crc32(image.tobytes())
                rows.append((number, key, offset, len(image), shown, height, width, crc))
        _end_at_once(path)
        path.with_suffix(".idx").write_text(f"v1.2 {len(part)}\n" + "".join(lines))
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        stated.append(Shard(name=path.name, samples=len(part), bytes=len(data), sha256=digest))
    np.save(out / f"{split}.samples.npy", np.array(rows, SAMPLE_DTYPE))
    if task == "segmentation":
        np.save(out / f"{split}.masks.npy", np.array(masks, MASK_DTYPE))
    if floats:
        np.save(out / f"{split}.targets.npy", np.stack(floats))
    names = {
        "key": [f"{key:09d}" for key in keys],
        "source": [f"photos/{key}.jpg" for key in keys],
        "id": [str(key) for key in keys],
        "group": [None if key % 5 else f"patient {key}" for key in keys],
    }
    if version == 2:
        del names["id"], names["group"]
    parquet.write_table(pa.table(names), out / f"{split}.sources.parquet")
    with (out / "rejected.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("source", "reason"), *rejected])
    labeled = [key for sample, key in enumerate(keys) if sample not in unlabeled]
    known = [row for row in floats if not np.isnan(row).any()]
    counts = _class_counts(task, labeled, len(classes), known)
    heights, widths = (sorted(size) for size in zip(*sizes, strict=True))
    manifest = Manifest(
        task=task,
        classes=tuple(classes),
        labels=tuple(classes),
        targets=tuple(targets),
        splits={split: Split(shards=tuple(stated), labeled=len(labeled), class_counts=counts)},
        image_components=("jpg", "png"),
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        heights=(heights[0], heights[(samples - 1) // 2], heights[-1]),
        widths=(widths[0], widths[(samples - 1) // 2], widths[-1]),
        rejected=len(rejected),
        made_by={"tool": "by hand", "arguments": {"encode": "keep", "label_column": ["breed"]}},
        files=sums(out),
        version=version,
        has_own_sha256=version > 2,
    )
    (out / "dataset.json").write_text(manifest.to_json(), encoding="utf-8")
    return out


def write_splits(out: Path, *arguments: Any, samples: Mapping[str, int], **options: Any) -> Path:
    """Several splits: the number of `samples` of each; other arguments are those of
    ``write_shards``."""
    out.mkdir(parents=True)
    splits: dict[str, Any] = {}
    for split, count in samples.items():
        folder = out / "one"
        write_shards(folder, *arguments, samples=count, split=split, **options)
        splits |= json.loads((folder / "dataset.json").read_text())["splits"]
        for path in folder.iterdir():
            path.replace(out / path.name)
        folder.rmdir()
    return restated(out, splits=splits, **_spreads(out))


def sums(folder: Path) -> dict[str, str]:
    """SHA-256 of all files but the tars and the manifest."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.suffix not in (".tar", ".json")
    }


def restated(shards: Path, **changes: object) -> Path:
    """Write `changes`, and the sums of all files as they are now, into the manifest."""
    path = shards / "dataset.json"
    fields = json.loads(path.read_text()) | {"files": sums(shards)} | changes
    path.write_bytes(sealed(fields))
    return shards


def replace_table(shards: Path, name: str, table: NDArray[Any]) -> None:
    """Write the table `name`, such as train.samples.npy, and what the manifest says of it."""
    np.save(shards / name, table)
    fields = json.loads((shards / "dataset.json").read_text())
    facts, classes = fields["splits"][name.split(".")[0]], len(fields["classes"])
    changes: dict[str, object] = {"splits": fields["splits"]}
    if name.endswith(".targets.npy") and classes:
        facts["class_counts"] = (table > 0).sum(axis=0).tolist()
    if name.endswith(".samples.npy"):
        if fields["task"] == "classification":
            labels = table["label"][table["label"] >= 0]
            facts["class_counts"] = np.bincount(labels, minlength=classes).tolist()
        changes |= _spreads(shards)
    restated(shards, **changes)


def _spreads(shards: Path) -> dict[str, object]:
    """Minimum, median and maximum of heights and widths over all splits."""
    rows = np.concatenate([np.load(path) for path in shards.glob("*.samples.npy")])
    ordered = {f"{side}s": np.sort(rows[side]).tolist() for side in ("height", "width")}
    return {name: [px[0], px[(len(px) - 1) // 2], px[-1]] for name, px in ordered.items()}


def sealed(fields: dict[str, Any]) -> bytes:
    """The text of a manifest, with its own SHA-256 if it states one."""
    zeros = "0" * 64
    if "sha256" not in fields:
        return (json.dumps(fields, indent=1, ensure_ascii=False) + "\n").encode()
    data = (json.dumps(fields | {"sha256": zeros}, indent=1, ensure_ascii=False) + "\n").encode()
    before, _, after = data.rpartition(zeros.encode())
    return before + hashlib.sha256(data).hexdigest().encode() + after


def _value(task: str, key: int, column: int) -> float:
    return key / 7 + column if task == "regression" else float(key % (column + 2) == 0)


def _class_counts(
    task: str, keys: Sequence[int], classes: int, floats: Sequence[NDArray[np.float32]]
) -> tuple[int, ...]:
    if task == "classification":
        return tuple(np.bincount(np.array(keys) % classes, minlength=classes).tolist())
    if task == "multi-label":
        return tuple(np.stack(floats).astype(int).sum(axis=0).tolist())
    if task == "segmentation":
        shown = 1 + np.array(keys) % (classes - 1)
        return (len(keys), *np.bincount(shown, minlength=classes)[1:].tolist())
    return ()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> int:
    """Append a file; returns the offset of its first byte."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
    return tar.offset - -(-len(data) // 512) * 512


def _end_at_once(path: Path) -> None:
    """End the tar with two blocks of zeros; tarfile pads it to 10,240 bytes."""
    data = path.read_bytes().rstrip(b"\0")
    with tarfile.open(path) as tar:
        last = tar.getmembers()[-1]
    end = last.offset_data + -(-last.size // 512) * 512
    path.write_bytes(data.ljust(end, b"\0")[:end] + bytes(1024))

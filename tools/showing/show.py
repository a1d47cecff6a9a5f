"""A shard directory in tables and one picture."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, MisuseError
from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import REJECTED_NAME, sample_key
from pipeline.table import Table
from pipeline.text import plural
from tools.console import Output
from tools.showing.contact_sheet import draw
from tools.showing.dataset_summary import DatasetSummary, byte_unit, command_line, group_reasons
from tools.showing.sample_choice import Sheet, choose_samples
from tools.showing.submissions import describe_submissions
from tools.showing.thumbnails import Tiles, draw_thumbnails

# Of more classes than this, only the most frequent and the rarest are listed.
SHOWN_CLASSES = 20
_RAREST = 5
_SHOWN_REASONS = 12


def show_shards(
    directory: Path, *, out: Path, split: str | None, seed: int, all_classes: bool
) -> None:
    """Print tables about the shards and draw them into the PNG `out`; raises ``DataError`` if the
    shards can't be read or `out` can't be written."""
    _require_writable(out)
    summary = DatasetSummary.from_dataset(Dataset(directory))
    split = next(iter(summary.splits)) if split is None else split
    if split not in summary.splits:
        raise MisuseError(f"--split {split}: there is only {', '.join(summary.splits)}.")
    output = Output()
    for part in describe(summary, all_classes=all_classes):
        if isinstance(part, str):
            output.print(part)
        else:
            output.table(part)
    sheet = choose_samples(summary, split, seed=seed)
    tiles = draw_thumbnails(summary, split, sheet.rows[sheet.rows >= 0].tolist())
    _write(summary, sheet, tiles, out)
    output.print(f"The picture: {out}")
    output.print(f"Next: python -m trainer --shards {directory}")
    if damaged := [row for row, tile in tiles.items() if tile is None]:
        key = sample_key(int(summary.splits[split].samples["key"][damaged[0]]))
        output.print(
            f"{plural(len(damaged), 'sample')} can't be shown (the first is {key} of {split}). "
            f"Run tools/check {directory} for the full list of errors."
        )


def describe(summary: DatasetSummary, *, all_classes: bool) -> Iterator[str | Table]:
    """Sentences and tables, in order."""
    manifest, sizes = summary.manifest, summary.column("size")
    images = " and ".join(manifest.image_components)
    yield f"{summary.dataset.directory}: {manifest.task}, {summary.contents}; images are {images}."
    yield _split_table(summary)
    yield from _unlabeled(summary)
    yield from describe_submissions(summary.dataset)
    unit, scale = byte_unit(sizes)
    columns = {f"{name}, px": summary.column(name) for name in ("height", "width")}
    yield _spread_table("images", columns | {f"size, {unit}": sizes / scale})
    mean, std = (" ".join(f"{n:.3f}" for n in triple) for triple in (manifest.mean, manifest.std))
    yield f"Mean {mean}, standard deviation {std} (R, G, B; white is 1)."
    if manifest.classes:
        yield _class_table(summary, all_classes=all_classes)
    if manifest.targets:
        yield _spread_table("target", dict(zip(manifest.targets, summary.targets.T, strict=True)))
    options = command_line(manifest.made_by.get("arguments", {}))
    how = f"with {options}; other options have their defaults" if options else "with its defaults"
    yield f"Made by {manifest.made_by.get('tool', 'an unknown tool')} {how}."
    for number, addition in enumerate(manifest.history, start=1):
        samples = ", ".join(f"{count:,} {split}" for split, count in addition.samples.items())
        yield f"Append {number} added {samples} from {addition.src}."
    yield from _rejections(summary)


def _split_table(summary: DatasetSummary) -> Table:
    rows = []
    for name, split in summary.manifest.splits.items():
        mebibytes = sum(shard.bytes for shard in split.shards) / 2**20
        rows.append((name, f"{split.samples:,}", f"{len(split.shards):,}", f"{mebibytes:,.1f}"))
    return Table(headers=("split", "samples", "shards", "MiB"), rows=rows)


def _unlabeled(summary: DatasetSummary) -> Iterator[str]:
    for name, split in summary.manifest.splits.items():
        if split.unlabeled:
            have = "has" if split.unlabeled == 1 else "have"
            yield f"{split.unlabeled:,} of {split.samples:,} samples of {name} {have} no label."


def _spread_table(title: str, columns: dict[str, NDArray[Any]]) -> Table:
    """A row for each of `columns`."""
    rows = []
    for name, values in columns.items():
        spread = np.quantile(values.astype(np.float64), (0, 0.5, 1))
        rows.append((name, *(f"{value:,.4g}" for value in spread)))
    return Table(headers=(title, "min", "median", "max"), rows=rows)


def _class_table(summary: DatasetSummary, *, all_classes: bool) -> Table:
    rows = []
    totals = summary.class_counts.sum(axis=0)
    for label in _listed_classes(totals, all_classes=all_classes):
        if label is None:
            more = f"and {len(totals) - SHOWN_CLASSES:,} more: --all-classes"
            rows.append([more, *[""] * (len(summary.splits) + 1)])
            continue
        cells = (f"{count:,}" for count in summary.class_counts[:, label].tolist())
        share = totals[label] / max(1, summary.labeled)
        rows.append([summary.manifest.classes[label], *cells, f"{share:.2%}"])
    return Table(headers=("class", *summary.splits, "share"), rows=rows)


def _listed_classes(totals: NDArray[np.int64], *, all_classes: bool) -> list[int | None]:
    """The classes to list; None stands for the others."""
    if all_classes or len(totals) <= SHOWN_CLASSES:
        return list(range(len(totals)))
    order = np.argsort(-totals, kind="stable").tolist()
    return [*order[: SHOWN_CLASSES - _RAREST], None, *order[-_RAREST:]]


def _rejections(summary: DatasetSummary) -> Iterator[str | Table]:
    rejected, name = summary.manifest.rejected, summary.manifest.table_name(REJECTED_NAME)
    reasons = group_reasons(summary.dataset.directory / name)
    if not rejected:
        yield "No source was rejected."
    elif not reasons:
        yield f"Rejected {plural(rejected, 'source')}, but {name} can't be read."
    else:
        rows = []
        for reason in reasons[:_SHOWN_REASONS]:
            more = " and others" if reason.count > len(reason.examples) else ""
            rows.append((f"{reason.count:,}", reason.text, ", ".join(reason.examples) + more))
        yield Table(headers=("rejected", "reason", "first sources"), rows=rows, texts=(1, 2))
        if (hidden := len(reasons) - _SHOWN_REASONS) > 0:
            yield f"See {name} for {hidden:,} more reasons."


def _write(summary: DatasetSummary, sheet: Sheet, tiles: Tiles, out: Path) -> None:
    temporary = out.with_name(f".{out.name}.tmp")
    try:
        draw(summary, sheet, tiles, temporary)
        temporary.replace(out)
    except OSError as error:
        raise DataError(f"--out {out} can't be written: {error.strerror}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _require_writable(out: Path) -> None:
    if out.suffix.lower() != ".png":
        raise MisuseError(f"--out {out} must end in .png.")
    if out.is_dir():
        raise MisuseError(f"--out {out} is a folder: name a file in it.")
    if not out.parent.is_dir():
        raise MisuseError(f"--out {out}: the folder {out.parent} doesn't exist: create it.")

"""What is known to be slow in shards and on machines, each a finding with what to do about it."""

import math
import resource
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.datasets.reencoded import stored_images
from pipeline.config import PipelineConfig
from pipeline.machine import available_cores
from pipeline.plan.audit import measure_quality
from pipeline.plan.plan import order_of
from pipeline.storage.dataset import SplitIndex
from pipeline.storage.shard_files import OPEN_SHARDS
from tools.images.headers import Header, read_header

# Images whose headers are read.
LOOKED_AT = 256
# Each counts from this share of the images on.
NOTABLE = 0.05
# Stored so many times the pixels that validation resizes to: mostly decoded to be thrown away.
OVERSIZED = 1.5
# Samples of one class in a row, in terms of what an ideal shuffle has.
CLUSTERED = 2.0
# For files beside shards: libraries, sockets, the data loader of validation.
OTHER_FILES = 256
# NCCL's rings between ranks of one machine live there; containers often have 64 MiB.
SHARED_MEMORY_BYTES = 2**30
GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is so, and what to do about it, "" if that is well."""

    fact: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.fact}: {self.advice}." if self.advice else f"{self.fact}."


def data_findings(index: SplitIndex, config: PipelineConfig, image_size_px: int) -> list[Finding]:
    generator = np.random.default_rng(0)
    chosen = generator.choice(len(index), min(LOOKED_AT, len(index)), replace=False)
    headers = [read_header(data) for data in stored_images(index, np.sort(chosen))]
    shorter = np.minimum(index.samples["height"], index.samples["width"])
    findings = [
        *format_findings(headers),
        size_finding(float(np.median(shorter)), image_size_px),
    ]
    if index.samples["label"].min() >= 0:  # other tasks than classification have no classes
        quality = measure_quality(order_of(index, config), index, min(256, len(index)))
        findings.append(order_finding(*quality.run_length, shuffle=config.shuffle))
    return findings


def format_findings(headers: Sequence[Header | None]) -> list[Finding]:
    """`headers` of images drawn at random, None of those that make no sense."""
    png, progressive, odd = (
        sum(each) / len(headers)
        for each in zip(*(_kind(header) for header in headers), strict=True)
    )
    of = f"of {len(headers)} images"
    return [
        Finding(
            fact=f"{png:.0%} {of} are PNG",
            advice="no GPU decodes PNG, and a core takes 4 to 6 times as long as for a JPEG of the "
            "same size; make the shards with --encode jpeg, or try --cache auto"
            if png >= NOTABLE
            else "",
        ),
        Finding(
            fact=f"{progressive:.0%} {of} are progressive JPEG",
            advice="they decode slowly, and not in a GPU's hardware; make the shards with "
            "--encode jpeg"
            if progressive >= NOTABLE
            else "",
        ),
        Finding(
            fact=f"{odd:.0%} {of} are other JPEG than plain baseline YCbCr or gray",
            advice="a GPU's hardware may refuse them; make the shards with --encode jpeg"
            if odd >= NOTABLE
            else "",
        ),
    ]


def _kind(header: Header | None) -> tuple[bool, bool, bool]:
    """Whether it is PNG, progressive JPEG, or another JPEG that isn't plain."""
    if header is None:
        return False, False, False
    is_odd = header.format == "jpeg" and not header.plain and not header.progressive
    return header.format == "png", header.progressive, is_odd


def size_finding(shorter_px: float, image_size_px: int) -> Finding:
    """`shorter_px`: the median image's shorter side."""
    wanted_px = round(image_size_px / 0.875)
    fact = (
        f"The median image has {shorter_px:,.0f} px on its shorter side, training's images have "
        f"{image_size_px} px"
    )
    # No network of ours takes less than 32 px.
    if 32 * math.ceil(shorter_px / 32) < image_size_px:
        return Finding(fact=fact, advice="it is enlarged; a smaller --image-size costs nothing")
    if shorter_px > OVERSIZED * wanted_px:
        times = (shorter_px / wanted_px) ** 2
        return Finding(
            fact=fact,
            advice=f"{times:.1f} times the pixels that are needed are decoded; make the shards "
            f"with --shortest-side {wanted_px}",
        )
    return Finding(fact=fact)


def order_finding(run_length: float, ideal: float, *, shuffle: str) -> Finding:
    """`run_length`: samples of one class in a row as training sees them."""
    fact = (
        f"Under --shuffle {shuffle} {run_length:.1f} samples of one class follow each other, "
        f"{ideal:.1f} in an ideal shuffle"
    )
    if run_length > CLUSTERED * ideal:
        more = "" if shuffle == "off" else ", or a larger --shuffle-window"
        return Finding(fact=fact, advice=f"batches hold few classes; give --shuffle global{more}")
    return Finding(fact=fact)


def machine_findings(
    config: PipelineConfig,
    *,
    ranks: int,
    split_bytes: int,
    fits_in_page_cache: bool,
    shards: int,
    shared_memory: Path = Path("/dev/shm"),
) -> list[Finding]:
    """`ranks` on this machine; `shards` of the split that lie here, all together `split_bytes`."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    size = f"The shards take {split_bytes / GIB:,.2f} GiB"
    return [
        threads_finding(config.threads, cores=available_cores(), ranks=ranks),
        files_finding(files, shards),
        shared_memory_finding(shared_memory, ranks),
        Finding(fact=f"{size}, which fits into the page cache")
        if fits_in_page_cache
        else Finding(
            fact=f"{size}, more than the page cache holds",
            advice="every epoch reads the disk; smaller images (--shortest-side) or more memory "
            "would end that, --shuffle window reads in larger pieces",
        ),
    ]


def threads_finding(threads: int | None, *, cores: int, ranks: int) -> Finding:
    share = max(1, cores // ranks)
    fact = (
        f"{threads or share} threads for each of {ranks} rank{'s' * (ranks > 1)} on {cores} cores"
    )
    if threads is not None and threads > share:
        return Finding(fact=fact, advice=f"they get in each other's way; --threads {share}")
    if threads is not None and threads < share:
        return Finding(fact=fact, advice=f"cores stay idle; --threads {share}")
    return Finding(fact=fact)


def files_finding(limit: int, shards: int) -> Finding:
    needed = min(shards, OPEN_SHARDS) + OTHER_FILES
    fact = f"A process may have {limit:,} files open, training needs about {needed:,}"
    if limit != resource.RLIM_INFINITY and limit < needed:
        return Finding(fact=fact, advice=f"it will fail; ulimit -n {4 * OPEN_SHARDS}")
    return Finding(fact=fact)


def shared_memory_finding(folder: Path, ranks: int) -> Finding:
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return Finding(fact=f"There is no {folder}", advice="several GPUs need it; mount a tmpfs")
    fact = f"{folder} has {free / GIB:,.2f} GiB free"
    if ranks > 1 and free < SHARED_MEMORY_BYTES:
        return Finding(
            fact=fact,
            advice="NCCL's buffers between GPUs may not fit; docker run --shm-size 1g, or --ipc "
            "host",
        )
    return Finding(fact=fact)

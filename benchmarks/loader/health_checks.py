"""Known causes of slow loading in shards and on machines: a finding each, with advice."""

import io
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from benchmarks.datasets.reencoded import stored_images
from benchmarks.measuring.provenance import DALI_PACKAGES
from pipeline.config import PipelineConfig
from pipeline.limits.cores import available_cores
from pipeline.plan.audit import measure_quality
from pipeline.plan.plan import order_of
from pipeline.storage.dataset import SplitIndex
from pipeline.text import plural
from pipeline.versions import installed_version

# Number of images whose headers are read.
HEADERS = 256
# A format that GPUs decode badly matters from this share of the images.
NOTABLE = 0.05
# Factor of the side that validation resizes to, above which decoding is wasted.
OVERSIZED = 1.5
# Factor of the run length of an ideal shuffle above which classes are clustered.
CLUSTERED = 2.0
GIB = 2**30
# Subsampling of luma, horizontal and vertical, that GPUs decode where chroma has 1 x 1.
_SAMPLINGS = {(1, 1), (2, 1), (2, 2), (1, 2), (4, 1), (4, 2)}


class Finding(NamedTuple):
    """A fact and its advice, "" if none is needed."""

    fact: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.fact}: {self.advice}." if self.advice else f"{self.fact}."


def check_data(index: SplitIndex, config: PipelineConfig, image_size_px: int) -> list[Finding]:
    """Findings about formats, sizes and order of the images."""
    generator = np.random.default_rng(0)
    samples = generator.choice(len(index), min(HEADERS, len(index)), replace=False)
    shorter = np.minimum(index.samples["height"], index.samples["width"])[index.rows()]
    findings = [
        *check_formats(stored_images(index, index.rows(np.sort(samples)))),
        check_size(float(np.median(shorter)), image_size_px),
    ]
    if index.samples["label"].min() >= 0:  # only classification has classes
        quality = measure_quality(order_of(index, config), index, min(256, len(index)))
        findings.append(check_order(*quality.run_length, shuffle=config.shuffle))
    return findings


def check_formats(images: Sequence[bytes]) -> list[Finding]:
    """Findings about the headers of stored images; damaged ones count as no format."""
    formats = [_format_of(data) for data in images]
    notable = (
        (
            "PNG",
            "no GPU decodes PNG, and a core needs 4 to 6 times as long as for a JPEG of the same "
            "size; make the shards with --encode jpeg, or try --cache auto",
        ),
        (
            "progressive JPEG",
            "they decode slowly, and not in the hardware of a GPU; make the shards with "
            "--encode jpeg",
        ),
        (
            "other JPEG than plain baseline YCbCr or gray",
            "the hardware of a GPU may not decode them; make the shards with --encode jpeg",
        ),
    )
    findings = []
    for name, advice in notable:
        share = formats.count(name) / len(formats)
        fact = f"{share:.0%} of {len(formats)} images are {name}"
        findings.append(Finding(fact, advice if share >= NOTABLE else ""))
    return findings


def _format_of(data: bytes) -> str:
    """One of the names in ``check_formats``, or "" for plain JPEG and damaged images."""
    try:
        image: Any = Image.open(io.BytesIO(data))
    except (OSError, Image.DecompressionBombError):
        return ""
    if image.format != "JPEG":
        return str(image.format)
    if image.info.get("progressive"):
        return "progressive JPEG"
    is_rgb = image.info.get("adobe_transform") == 0 and image.layers == 3
    luma, *chroma = [layer[1:3] for layer in image.layer]
    is_usual = not chroma or (luma in _SAMPLINGS and set(chroma) == {(1, 1)})
    is_plain = image.mode in ("L", "RGB") and not is_rgb and is_usual
    return "" if is_plain else "other JPEG than plain baseline YCbCr or gray"


def check_size(shorter_px: float, image_size_px: int) -> Finding:
    """`shorter_px`: the shorter side of the median image."""
    needed_px = round(image_size_px / 0.875)
    fact = (
        f"The shorter side of the median image has {shorter_px:,.0f} px, images in training have "
        f"{image_size_px} px"
    )
    # Our networks need at least 32 px.
    if 32 * math.ceil(shorter_px / 32) < image_size_px:
        return Finding(fact, "the images are enlarged; a smaller --image-size loses nothing")
    if shorter_px > OVERSIZED * needed_px:
        times = (shorter_px / needed_px) ** 2
        return Finding(
            fact,
            f"{times:.1f} times as many pixels as needed are decoded; make the shards with "
            f"--shortest-side {needed_px}",
        )
    return Finding(fact)


def check_order(run_length: float, ideal: float, *, shuffle: str) -> Finding:
    """`run_length`: consecutive samples of one class in training."""
    fact = (
        f"With --shuffle {shuffle}, {run_length:.1f} samples of one class follow one another, "
        f"{ideal:.1f} in an ideal shuffle"
    )
    if run_length > CLUSTERED * ideal:
        more = "" if shuffle == "off" else ", or a larger --shuffle-window"
        return Finding(fact, f"batches have few classes; give --shuffle global{more}")
    return Finding(fact)


def check_machine(
    config: PipelineConfig, *, ranks: int, split_bytes: int, fits_in_page_cache: bool
) -> list[Finding]:
    """Findings about this machine with `ranks` ranks."""
    size = f"The shards have {split_bytes / GIB:,.2f} GiB"
    cached = Finding(f"{size} and fit into the page cache")
    if not fits_in_page_cache:
        cached = Finding(
            f"{size} and don't fit into the page cache",
            "every epoch reads them from the disk; store smaller images (--shortest-side), add "
            "memory, or read in larger pieces by --shuffle window",
        )
    return [
        check_dali([package for package in DALI_PACKAGES if installed_version(package)]),
        check_threads(config.threads, cores=available_cores(), ranks=ranks),
        cached,
    ]


def check_dali(packages: Sequence[str]) -> Finding:
    """`packages`: the installed ones of DALI_PACKAGES, which all fill one folder."""
    fact = f"DALI is installed as {' and '.join(packages) or 'no package'}"
    if len(packages) > 1:
        return Finding(
            fact,
            "they overwrite each other's files; remove both with their libraries and install one, "
            "see docs/measuring.md",
        )
    return Finding(fact)


def check_threads(threads: int | None, *, cores: int, ranks: int) -> Finding:
    share = max(1, cores // ranks)
    fact = f"{threads or share} threads for each of {plural(ranks, 'rank')} on {cores} cores"
    if threads is not None and threads > share:
        return Finding(fact, f"they slow each other down; give --threads {share}")
    if threads is not None and threads < share:
        return Finding(fact, f"cores stay idle; give --threads {share}")
    return Finding(fact)

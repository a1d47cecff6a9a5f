"""What the search for duplicates costs, and how many of planted copies it finds."""

import statistics
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.datasets.downloads import image_files, link_images
from benchmarks.measuring.targets import Target
from benchmarks.sharding.candidates import Candidate
from benchmarks.sharding.comparisons import Setup, report_rates
from benchmarks.sharding.planted_copies import SHARE, Score, plant_copies, score_table
from benchmarks.sharding.process_cost import measure
from pipeline.storage.manifest import DUPLICATES_NAME

# Bounds of the search for equal images: a multiple of the CPU time, and bytes an image.
MAX_COST, MAX_BYTES = 1.05, 40


def duplicates(setup: Setup) -> None:
    """Each image of --src once: repeated ones would be duplicates."""
    src = Path(setup.benchmark.src)
    count = min(setup.benchmark.images, len(image_files(src)))
    download = setup.download(link_images(src, setup.scratch / "distinct", count), count)
    without, equal, near = (
        download.tool("--encode", "keep", *options, duplicates=mode, name=name)
        for name, mode, options in (
            ("without a search", "ignore", ()),
            ("equal images", "one-split", ()),
            ("equal and near images", "one-split", ("--near-duplicates",)),
        )
    )
    candidates = [without, equal, near]
    setup.run(*candidates)
    memory = {each.name: _peak_bytes(each, setup.benchmark.runs) / count for each in candidates}
    more, more_near = (memory[each.name] - memory[without.name] for each in (equal, near))
    cost = equal.cpu_seconds / without.cpu_seconds
    score = _search(setup, near)
    report_rates(
        setup,
        f"keeping {count:,} images, with a search for duplicates",
        candidates,
        [Target(of="the CPU time without a search", bound=MAX_COST, value=cost, at_most=True)],
        notes=[
            f"Peak memory of all processes together: {more:,.0f} bytes an image more for equal "
            f"images (at most {MAX_BYTES} are intended), {more_near:,.0f} for near ones, too.",
            f"Of planted copies of {SHARE:.0%} of the images, {score}",
        ],
        facts={"bytes_per_image": memory, "planted": asdict(score)},
    )


def _peak_bytes(candidate: Candidate, runs: int) -> float:
    """The median peak of memory without mapped files."""
    return statistics.median(candidate.run(memory=True).peak_own_bytes for _ in range(runs))


def _search(setup: Setup, candidate: Candidate) -> Score:
    """Plant copies in the download and look for them."""
    planted = plant_copies(candidate.download.src)
    with tempfile.TemporaryDirectory(dir=setup.scratch) as name:
        folder = Path(name)
        measure(candidate.command(folder), environment=candidate.variables(folder))
        return score_table(folder / "shards" / DUPLICATES_NAME, planted)

"""The parts of the sharding benchmark: each compares candidates on one download and reports."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.datasets.downloads import (
    link_images,
    make_large_photographs,
    make_pixel_csv,
    make_png_photographs,
    make_small_pngs,
)
from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.table import by_field, figure_columns, report
from benchmarks.measuring.targets import Target
from benchmarks.measuring.virtualenvs import Virtualenv
from benchmarks.sharding.bare_programs import QUALITY, SHORTEST_PX
from benchmarks.sharding.candidates import Candidate, Download, rate_target, run_all
from benchmarks.sharding.config import ShardingBenchmark
from benchmarks.sharding.reduced_decoding import psnr_of_shrinking

KIND = "benchmarks.sharding"
# Package -> name of its writer.
PEERS = {
    "webdataset": "webdataset's ShardWriter",
    "mosaicml-streaming": "mosaicml's MDSWriter",
    "litdata": "litdata.optimize, 2 forked",
}
REENCODE = ("--encode", "jpeg", "--quality", str(QUALITY))
SIDE_PX = 28
# Images of the memory part: so small that only their number matters.
TINY_PX = 8
# Ten times the input should take at most this multiple of the memory.
MAX_GROWTH = 1.25


@dataclass(frozen=True, kw_only=True)
class Setup:
    """The options, and a folder for the downloads, which are created when they are needed.
    `virtualenv` is None without peers."""

    benchmark: ShardingBenchmark
    scratch: Path
    virtualenv: Virtualenv | None

    @cached_property
    def photographs(self) -> Download:
        images = self.benchmark.images
        folder = link_images(Path(self.benchmark.src), self.scratch / "photographs", images)
        return self.download(folder, images)

    def download(self, src: Path, amount: float) -> Download:
        return Download(src=src, amount=amount, scratch=self.scratch)

    def peers(self, download: Download, work: str) -> list[Candidate]:
        if self.virtualenv is None:
            return []
        return [download.peer(PEERS[package], package, work, self.virtualenv) for package in PEERS]

    def run(self, *candidates: Candidate) -> list[Candidate]:
        return run_all(candidates, self.benchmark.runs)


def reencode(setup: Setup) -> None:
    download = setup.photographs
    bare = download.bare("cv2 recode, 2 processes", "recode")
    tool, peers = download.tool(*REENCODE), setup.peers(download, "recode")
    running = setup.run(bare, tool, *peers)[2:]
    targets = [rate_target(0.95, tool, bare)]
    if running:
        targets.append(rate_target(1.5, tool, max(running, key=lambda peer: peer.median)))
    title = f"re-encoding {setup.benchmark.images:,} photographs to JPEG q{QUALITY}"
    report_rates(setup, title, [bare, tool, *peers], targets)


def shrink(setup: Setup) -> None:
    folder, count = setup.scratch / "large", max(2, setup.benchmark.images // 2)
    src = make_large_photographs(Path(setup.benchmark.src), folder, count)
    download = setup.download(src, count)
    bare = download.bare("cv2 decode in full, resize, encode, 2 processes", "shrink")
    tool = download.tool(*REENCODE, "--shortest-side", str(SHORTEST_PX))
    title = f"shrinking {count:,} JPEGs of 1,000 x 750 px to {SHORTEST_PX} px"
    psnr = psnr_of_shrinking(folder / "originals")
    setup.run(bare, tool)
    targets = [rate_target(1.5, tool, bare)]
    report_rates(setup, title, [bare, tool], targets, notes=[str(psnr)], facts=psnr.facts())


def pngs(setup: Setup) -> None:
    count = max(2, setup.benchmark.images // 4)
    src = make_png_photographs(Path(setup.benchmark.src), setup.scratch / "pngs", count)
    download = setup.download(src, count)
    bare = download.bare("cv2 recode, 2 processes", "recode")
    title = f"re-encoding {count:,} PNG photographs to JPEG q{QUALITY}"
    compare(setup, title, [bare, download.tool(*REENCODE)], 1.05)


def workers(setup: Setup) -> None:
    one, two = (setup.photographs.tool(*REENCODE, workers=count) for count in (1, 2))
    title = f"re-encoding {setup.benchmark.images:,} photographs, by workers"
    compare(setup, title, [one, two], 1.8)


def keep(setup: Setup) -> None:
    bare = setup.photographs.bare("cv2 decode, 2 processes", "decode")
    tool = setup.photographs.tool("--encode", "keep")
    title = f"keeping {setup.benchmark.images:,} photographs, each verified"
    compare(setup, title, [bare, tool], 0.95)


def header(setup: Setup) -> None:
    copying = setup.photographs.bare("shutil.copyfile, 2 processes", "copy")
    synced = setup.photographs.bare("the same, then sync", "copy-and-sync")
    tool = setup.photographs.tool("--encode", "keep", "--verify", "header")
    title = f"keeping {setup.benchmark.images:,} photographs, headers trusted"
    compare(setup, title, [copying, synced, tool], 0.5)


def small(setup: Setup) -> None:
    folder, count = setup.scratch / "small", setup.benchmark.small_images
    if setup.benchmark.small_src:
        src = link_images(Path(setup.benchmark.small_src), folder, count)
    else:
        src = make_small_pngs(folder, count, SIDE_PX)
    download = setup.download(src, count)
    tool, peers = download.tool("--encode", "keep"), setup.peers(download, "keep")
    setup.run(*peers, tool)
    targets = []
    if peers and not peers[0].failure:
        name, size_ratio = peers[0].name, tool.written_bytes / peers[0].written_bytes
        size = Target(of=f"the bytes of {name}", bound=0.75, value=size_ratio, at_most=True)
        targets = [rate_target(3, tool, peers[0]), size]
    report_rates(setup, f"{count:,} small PNGs", [*peers, tool], targets)


def pixels(setup: Setup) -> None:
    folder = make_pixel_csv(setup.scratch / "pixels", setup.benchmark.csv_rows, SIDE_PX)
    megabytes = (folder / "train.csv").stat().st_size / 1e6
    download = setup.download(folder, megabytes)
    arrow, tool = download.bare("pyarrow.csv reading alone", "read-csv"), download.tool()
    title = f"pixel CSV of {megabytes:,.0f} MB, {SIDE_PX} x {SIDE_PX} px"
    compare(setup, title, [arrow, tool], 0.9, unit="MB")


def memory(setup: Setup, unit: str, make: Callable[[Path, int, int], Path]) -> None:
    """One run for each size: the peak hardly differs between runs."""
    rows: list[Measurement] = []
    targets, without_files = [], {}
    for count in (setup.benchmark.largest // divisor for divisor in (1000, 100, 10, 1)):
        with tempfile.TemporaryDirectory(dir=setup.scratch) as folder:
            src = make(Path(folder) / "download", count, TINY_PX)
            cost = setup.download(src, count).tool().run(memory=True)
        row = Measurement(name=f"{count:,} {unit}", values=(cost.peak_bytes / 1e6,))
        without_files[row.name] = cost.peak_own_bytes / 1e6
        for smaller in rows[-1:]:
            growth = row.median / smaller.median
            targets.append(Target(of=smaller.name, bound=MAX_GROWTH, value=growth, at_most=True))
        rows.append(row)
    report(
        f"peak memory of all processes together, {unit}, {TINY_PX} x {TINY_PX} px",
        "MB",
        rows,
        kind=KIND,
        facts={"without_files": without_files},
        columns={"without mapped files": {k: f"{mb:,.1f}" for k, mb in without_files.items()}},
        targets=targets,
    )


def compare(
    setup: Setup, title: str, candidates: Sequence[Candidate], bound: float, *, unit: str = "images"
) -> None:
    """Measure and report; the last candidate should have `bound` times the rate of the first."""
    setup.run(*candidates)
    target = rate_target(bound, candidates[-1], candidates[0])
    report_rates(setup, title, candidates, [target], unit=unit)


def report_rates(
    setup: Setup,
    title: str,
    candidates: Sequence[Candidate],
    targets: Sequence[Target],
    *,
    unit: str = "images",
    notes: Sequence[str] = (),
    facts: Mapping[str, object] | None = None,
) -> None:
    """Report the rates of measured candidates, in `unit` per second, and their other costs."""
    rows = [candidate.measurement for candidate in candidates if candidate.measurement]
    one = unit.removesuffix("s")
    cpu_seconds = f"cpu_seconds_per_{one}"
    figures: dict[str, dict[str, float | None]] = {
        candidate.name: {
            "work_alone": candidate.work_rate,
            cpu_seconds: candidate.cpu_seconds,
            "written_bytes": candidate.written_bytes,
        }
        for candidate in candidates
        if candidate.measurement
    }
    formats = {
        "work_alone": ("work alone", 1, ",.1f"),
        cpu_seconds: (f"CPU ms/{one}", 1000, ".3f"),
        "written_bytes": ("MB written", 1e-6, ",.0f"),
    }
    report(
        title,
        f"{unit}/s",
        rows,
        kind=KIND,
        facts={
            **by_field(figures),
            **(facts or {}),
            "amount": candidates[0].download.amount,
            "peers": dict(setup.virtualenv.versions) if setup.virtualenv else {},
        },
        columns=figure_columns(figures, formats),
        targets=targets,
        notes=notes,
        absent={each.name: each.failure for each in candidates if each.failure},
    )

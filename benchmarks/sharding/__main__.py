"""The speed of ``tools/shard``, against the least that could do its work and against its peers.

All are measured as a user runs them, from the start of the command to its end; the bare ones and
the peers also tell what their work alone took, without the start of Python and its processes. All
encode with OpenCV, with the same settings. Files lie in the page cache.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import click

from benchmarks.datasets.downloads import link_images, make_pixel_csv, make_small_pngs
from benchmarks.measuring import virtualenvs as environments
from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.config import FROM_ENVIRONMENT
from benchmarks.measuring.table import report
from benchmarks.measuring.targets import Target
from benchmarks.sharding.bare import QUALITY
from benchmarks.sharding.contenders import Candidate, Download, run_all
from benchmarks.sharding.report import rate_bar, show

PEERS = {
    "webdataset": "webdataset's ShardWriter",
    "mosaicml-streaming": "mosaicml's MDSWriter",
    "litdata": "litdata.optimize, 2 forked",
}
REENCODE = ("--encode", "jpeg", "--quality", str(QUALITY))
SIDE_PX = 28
# Images of the memory part: so small that only their number counts.
TINY_PX = 8
# Ten times the input should take at most so many times the memory.
FLAT = 1.25


@dataclass(frozen=True)
class Setup:
    """What was asked for; downloads are made in `scratch` when they are first needed."""

    scratch: Path
    src: Path
    small_src: Path | None
    runs: int
    images: int
    small_images: int
    csv_rows: int
    largest: int
    environment: environments.PeerEnvironment | None

    @cached_property
    def photographs(self) -> Download:
        return self.race(
            link_images(self.src, self.scratch / "photographs", self.images), self.images
        )

    @property
    def versions(self) -> dict[str, str]:
        """Of the peers."""
        return dict(self.environment.versions) if self.environment else {}

    def race(self, src: Path, amount: float) -> Download:
        return Download(src=src, amount=amount, scratch=self.scratch)

    def peers(self, race: Download, work: str) -> list[Candidate]:
        if self.environment is None:
            return []
        return [race.peer(name, peer, work, self.environment) for peer, name in PEERS.items()]


def reencode(setup: Setup) -> None:
    race = setup.photographs
    bare = race.bare("cv2 recode, 2 processes", "recode")
    tool, peers = race.tool(*REENCODE), setup.peers(race, "recode")
    measured = run_all([bare, tool, *peers], setup.runs)
    bars = [rate_bar(0.95, tool, bare, measured)]
    if running := [peer for peer in peers if peer.name in measured]:
        fastest = max(running, key=lambda peer: measured[peer.name].median)
        bars.append(rate_bar(1.5, tool, fastest, measured))
    title = f"re-encoding {setup.images:,} photographs to JPEG q{QUALITY}"
    show(title, "images/s", [bare, tool, *peers], measured, bars, setup.versions)


def workers(setup: Setup) -> None:
    one, two = (setup.photographs.tool(*REENCODE, workers=count) for count in (1, 2))
    measured = run_all([one, two], setup.runs)
    title = f"re-encoding {setup.images:,} photographs, by workers"
    bars = [rate_bar(1.8, two, one, measured)]
    show(title, "images/s", [one, two], measured, bars, setup.versions)


def keep(setup: Setup) -> None:
    race = setup.photographs
    bare = race.bare("cv2 decode, 2 processes", "decode")
    tool = race.tool("--encode", "keep")
    measured = run_all([bare, tool], setup.runs)
    bars = [rate_bar(0.95, tool, bare, measured)]
    title = f"keeping {setup.images:,} photographs, each verified"
    show(title, "images/s", [bare, tool], measured, bars, setup.versions)


def header(setup: Setup) -> None:
    race = setup.photographs
    copying = race.bare("shutil.copyfile, 2 processes", "copy")
    synced = race.bare("the same, then sync", "copy-and-sync")
    tool = race.tool("--encode", "keep", "--verify", "header")
    measured = run_all([copying, synced, tool], setup.runs)
    bars = [rate_bar(0.5, tool, copying, measured)]
    title = f"keeping {setup.images:,} photographs, headers trusted"
    show(title, "images/s", [copying, synced, tool], measured, bars, setup.versions)


def small(setup: Setup) -> None:
    folder, count = setup.scratch / "small", setup.small_images
    if setup.small_src:
        race = setup.race(link_images(setup.small_src, folder, count), count)
    else:
        race = setup.race(make_small_pngs(folder, count, SIDE_PX), count)
    tool, peers = race.tool("--encode", "keep"), setup.peers(race, "keep")
    measured = run_all([*peers, tool], setup.runs)
    bars = []
    if peers and peers[0].name in measured:
        shards = peers[0]
        size_ratio = tool.written_bytes / shards.written_bytes
        bytes_bar = Target(
            of=f"the bytes of {shards.name}", bound=0.75, value=size_ratio, at_most=True
        )
        bars = [rate_bar(3, tool, shards, measured), bytes_bar]
    show(f"{count:,} small PNGs", "images/s", [*peers, tool], measured, bars, setup.versions)


def pixels(setup: Setup) -> None:
    folder = make_pixel_csv(setup.scratch / "pixels", setup.csv_rows, SIDE_PX)
    megabytes = (folder / "train.csv").stat().st_size / 1e6
    race = setup.race(folder, megabytes)
    arrow, tool = race.bare("pyarrow.csv reading alone", "read-csv"), race.tool()
    measured = run_all([arrow, tool], setup.runs)
    bars = [rate_bar(0.8, tool, arrow, measured)]
    title = f"pixel CSV of {megabytes:,.0f} MB, {SIDE_PX} x {SIDE_PX} px"
    show(title, "MB/s", [arrow, tool], measured, bars, setup.versions)


def memory(setup: Setup, kind: str, make: Callable[[Path, int, int], Path]) -> None:
    """Once for each size: the peak hardly differs from run to run."""
    measured: list[Measurement] = []
    bars, own = [], {}
    for count in (setup.largest // divisor for divisor in (1000, 100, 10, 1)):
        with tempfile.TemporaryDirectory(dir=setup.scratch) as folder:
            download = make(Path(folder) / "download", count, TINY_PX)
            cost = setup.race(download, count).tool().run(memory=True)
        row = Measurement(name=f"{count:,} {kind}", values=(cost.peak_bytes / 1e6,))
        own[row.name] = cost.peak_own_bytes / 1e6
        for before in measured[-1:]:
            growth = row.median / before.median
            bars.append(Target(of=before.name, bound=FLAT, value=growth, at_most=True))
        measured.append(row)
    facts = {"without_files": own, "bars": [bar.record() for bar in bars]}
    columns = {"without mapped files": {name: f"{size:,.1f}" for name, size in own.items()}}
    title = f"peak memory of all processes together, {kind}, {TINY_PX} x {TINY_PX} px"
    report(
        title,
        "MB",
        measured,
        kind="benchmarks.sharding",
        facts=facts,
        columns=columns,
        notes=[str(bar) for bar in bars],
    )


PARTS: dict[str, Callable[[Setup], None]] = {
    "reencode": reencode,
    "workers": workers,
    "keep": keep,
    "header": header,
    "small": small,
    "pixels": pixels,
    "memory-files": partial(memory, kind="PNG files", make=make_small_pngs),
    "memory-rows": partial(memory, kind="rows of a CSV", make=make_pixel_csv),
}
COUNT = click.IntRange(min=1)


@click.command(context_settings=FROM_ENVIRONMENT)
@click.option(
    "--src",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of photographs; labels are made up.",
)
@click.option(
    "--part", "parts", type=click.Choice(list(PARTS)), multiple=True, help="[default: all]"
)
@click.option(
    "--runs", type=COUNT, default=5, show_default=True, help="Measured rounds; one more warms up."
)
@click.option(
    "--images", type=COUNT, default=24_000, show_default=True, help="Photographs, repeated."
)
@click.option(
    "--small-images", type=COUNT, default=70_000, show_default=True, help="Small PNGs, repeated."
)
@click.option(
    "--small-src",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of small PNGs.  [default: scikit-learn's digits]",
)
@click.option(
    "--csv-rows", type=COUNT, default=266_000, show_default=True, help="Rows of the pixel CSV."
)
@click.option(
    "--largest",
    type=click.IntRange(min=1000),
    default=1_000_000,
    show_default=True,
    help="Samples, for memory.",
)
@click.option("--peers/--no-peers", default=True, show_default=True, help="Measure others too.")
@click.option(
    "--environment",
    type=click.Path(path_type=Path),
    default=environments.DEFAULT_FOLDER,
    show_default="shardline/peers in the user's cache",
    help="Where the peers are installed, once.",
)
def main(parts: Sequence[str], peers: bool, environment: Path, **options: Any) -> None:
    """Measure tools/shard."""
    chosen = [PARTS[name] for name in parts or PARTS]
    wanted = peers and {reencode, small} & set(chosen)
    prepared = environments.prepare(environment, list(PEERS)) if wanted else None
    with tempfile.TemporaryDirectory() as folder:
        setup = Setup(scratch=Path(folder), environment=prepared, **options)
        for part in chosen:
            part(setup)


if __name__ == "__main__":
    main()

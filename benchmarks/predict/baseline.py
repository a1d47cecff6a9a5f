"""The measurements in results that a prediction starts from, and is compared with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.loader.config import FULL
from benchmarks.measuring.result_file import BY_STAGE, COMPUTE, SCALING, read_bundle
from benchmarks.predict.step_model import RankSpeed
from benchmarks.scaling.record import LOADER, SYNTHETIC, WARM, WEAK, read_points
from pipeline.errors import MisuseError

Bundle = Mapping[str, Any]

_EXPECTED = (
    "Give one result of bench-scaling; or one of bench-compute on one rank, with one of "
    "bench-loader for the input, and results of bench-compute on several ranks for comparison."
)


@dataclass(frozen=True, kw_only=True)
class MeasuredSize:
    """images/s of `ranks` ranks, run by run, on batches of a loader (`fed`) or synthetic ones."""

    ranks: int
    fed: bool
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Measurements of one rank.

    Attributes:
        runs: its speed in each run.
        model, image_size_px, precision: as the trainer calls them.
        device: name of the GPU, or "CPU".
        node_ranks, node_cores: GPUs (or CPU cores) and CPU cores of the measured machine.
        measured: measurements of several ranks, which a prediction is compared with but does not
            use.
    """

    runs: tuple[RankSpeed, ...]
    model: str
    image_size_px: int
    precision: str
    device: str
    node_ranks: int
    node_cores: int
    measured: tuple[MeasuredSize, ...]

    @property
    def speed(self) -> RankSpeed:
        """The median of each rate over the runs."""
        names = ("compute_rate", "loader_rate", "training_rate")
        rates: dict[str, Any] = {name: [getattr(run, name) for run in self.runs] for name in names}
        medians = {name: median(values) for name, values in rates.items() if None not in values}
        return replace(self.runs[0], **medians)


def read_baseline(
    paths: Sequence[Path], *, batch_size: int | None, gradient_bytes: float | None
) -> Baseline:
    """Read a result of bench-scaling, or one of bench-compute on one rank with one of bench-loader
    for the input.

    Args:
        batch_size: of a rank, one that bench-compute measured; by default the fastest.
        gradient_bytes: replaces the size that the result states.

    Raises ``MisuseError`` for other results, and ``DataError`` for an unreadable one.
    """
    bundles: dict[str, list[Bundle]] = {SCALING: [], COMPUTE: [], BY_STAGE: []}
    for path in paths:
        bundle = read_bundle(path)
        if bundle["kind"] not in bundles:
            raise MisuseError(f"{path} is a result of {bundle['kind']}. {_EXPECTED}")
        bundles[bundle["kind"]].append(bundle)
    scaling, computes, loaders = bundles.values()
    if len(scaling) == 1 and not computes and not loaders:
        return _from_scaling(scaling[0], gradient_bytes)
    single = [bundle for bundle in computes if bundle["world_size"] == 1]
    if scaling or len(single) != 1 or len(loaders) > 1:
        raise MisuseError(_EXPECTED)
    return _from_compute(single[0], computes, loaders, batch_size, gradient_bytes)


def _from_scaling(bundle: Bundle, gradient_bytes: float | None) -> Baseline:
    points = {p.world_size: p for p in read_points(bundle) if p.mode == WEAK}
    if 1 not in points:
        raise MisuseError(
            "A prediction starts from one rank: run bench-scaling --ranks 1,... --mode weak."
        )
    single, cpus = points[1], bundle["environment"]["cpus"]
    rates = (single.rates(rung) for rung in (SYNTHETIC, LOADER, WARM))
    return Baseline(
        runs=tuple(
            RankSpeed(
                batch_size=single.batch_size,
                compute_rate=compute,
                loader_rate=loader,
                training_rate=training,
                gradient_bytes=gradient_bytes or single.gradient_bytes,
                threads=len(single.rank_cores[0]) or cpus,
            )
            for compute, loader, training in zip(*rates, strict=True)
        ),
        **{name: bundle[name] for name in ("model", "image_size_px", "precision", "device")},
        node_ranks=_node_ranks([bundle]),
        node_cores=cpus,
        measured=tuple(
            MeasuredSize(ranks=ranks, fed=rung == WARM, values=point.rates(rung))
            for ranks, point in sorted(points.items())
            if ranks > 1
            for rung in (SYNTHETIC, WARM)
        ),
    )


def _node_ranks(bundles: Sequence[Bundle]) -> int:
    """Number of GPUs of the machine, or of its CPU cores."""
    machines = [bundle["environment"] for bundle in bundles]
    return max(len(machine["gpus"] or ()) or machine["cpus"] for machine in machines)


def _from_compute(
    single: Bundle,
    computes: Sequence[Bundle],
    loaders: Sequence[Bundle],
    batch_size: int | None,
    gradient_bytes: float | None,
) -> Baseline:
    row = _fastest_row(single, batch_size)
    several = [b for b in computes if b["world_size"] > 1 and row in b["values"]]
    rates, cpus = single["values"][row], single["environment"]["cpus"]
    loader_rates = loaders[0]["values"][FULL] if loaders else [None] * len(rates)
    size = gradient_bytes or single.get("gradient_bytes")
    if size is None:
        raise MisuseError("RESULTS lack the size of the gradients: give --gradient-mb.")
    return Baseline(
        runs=tuple(
            RankSpeed(
                batch_size=single["rows"][row]["batch_size"],
                compute_rate=rate,
                loader_rate=loader_rate,
                gradient_bytes=size,
                threads=loaders[0]["threads"] if loaders else cpus,
            )
            # Runs of two benchmarks are not paired; those without a partner are left out.
            for rate, loader_rate in zip(rates, loader_rates, strict=False)
        ),
        model=single["settings"]["model"],
        image_size_px=single["settings"]["image_size"],
        precision=single["settings"]["precision"],
        device=single["device"],
        node_ranks=_node_ranks([single, *several]),
        # One rank may have been pinned to a part of the machine.
        node_cores=max(bundle["environment"]["cpus"] for bundle in (single, *several)),
        measured=tuple(
            MeasuredSize(ranks=b["world_size"], fed=False, values=tuple(b["values"][row]))
            for b in several
        ),
    )


def _fastest_row(compute: Bundle, batch_size: int | None) -> str:
    """The fastest row of a result of bench-compute, among those with `batch_size`."""
    sizes: dict[str, int] = {row: fields["batch_size"] for row, fields in compute["rows"].items()}
    rows = [row for row, size in sizes.items() if batch_size in (None, size)]
    if not rows:
        measured = ", ".join(map(str, sorted(set(sizes.values()))))
        raise MisuseError(f"--batch-size {batch_size} was not measured, choose from: {measured}.")
    return max(rows, key=lambda row: float(compute["median"][row]))

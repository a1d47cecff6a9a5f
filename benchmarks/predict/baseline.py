"""What bundles say of one rank, and of more ranks to compare a prediction with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.loader.config import FULL
from benchmarks.measuring.result_file import BY_STAGE, COMPUTE, SCALING, read_bundle
from benchmarks.predict.step_model import Rank
from benchmarks.scaling.record import LOADER, SYNTHETIC, WARM, WEAK, read_points
from pipeline.errors import MisuseError

Bundle = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class MeasuredSize:
    """images/s of `ranks` ranks, run by run; `fed`: with a loader, else on synthetic batches."""

    ranks: int
    fed: bool
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class OneRank:
    """What a prediction starts from.

    Attributes:
        runs: the rank in each run.
        model, image_size_px, precision: what it trained, as the trainer calls it.
        node_ranks, node_cores: of the machine that it was measured on.
        measured: more ranks, none of them used for the prediction.
    """

    runs: tuple[Rank, ...]
    model: str
    image_size_px: int
    precision: str
    device: str
    node_ranks: int
    node_cores: int
    measured: tuple[MeasuredSize, ...]

    @property
    def on_gpu(self) -> bool:
        return "CPU" not in self.device


def read_one_rank(
    paths: Sequence[Path], *, batch_size: int | None, gradient_bytes: float | None
) -> OneRank:
    """From a bundle of bench-scaling, or from one of bench-compute on one rank, with one of
    bench-loader for the input.

    Args:
        batch_size: of a rank, of those that bench-compute measured; by default the fastest.
        gradient_bytes: in place of what the bundle says.
    """
    found: dict[str, list[Bundle]] = {}
    for path in paths:
        bundle = read_bundle(path)
        kind = bundle["kind"]
        if kind not in (SCALING, COMPUTE, BY_STAGE):
            raise MisuseError(f"{path} is of {kind}: {_WANTED}")
        found.setdefault(kind, []).append(bundle)
    scaling, computes, loaders = (found.get(kind, []) for kind in (SCALING, COMPUTE, BY_STAGE))
    if len(scaling) == 1 and not computes and not loaders:
        return _of_scaling(scaling[0], gradient_bytes)
    alone = [bundle for bundle in computes if bundle["world_size"] == 1]
    if scaling or len(alone) != 1 or len(loaders) > 1:
        raise MisuseError(_WANTED)
    return _of_compute(alone[0], computes, loaders, batch_size, gradient_bytes)


_WANTED = (
    "Give one result of bench-scaling; or one of bench-compute on one rank, with one of "
    "bench-loader for the input, and more of bench-compute on several ranks to compare with."
)


def _of_scaling(bundle: Bundle, gradient_bytes: float | None) -> OneRank:
    points = {p.world_size: p for p in read_points(bundle) if p.mode == WEAK}
    if 1 not in points:
        raise MisuseError(
            "A prediction starts from one rank: bench-scaling --ranks 1,... --mode weak."
        )
    alone, machine = points[1], bundle["environment"]
    rates = (alone.rates(name) for name in (SYNTHETIC, LOADER, WARM))
    return OneRank(
        runs=tuple(
            Rank(
                batch_size=alone.batch_size,
                compute_rate=compute,
                loader_rate=loader,
                training_rate=training,
                gradient_bytes=gradient_bytes or alone.gradient_bytes,
                threads=len(alone.rank_cores[0]) or machine["cpus"],
            )
            for compute, loader, training in zip(*rates, strict=True)
        ),
        model=bundle["model"],
        image_size_px=bundle["image_size_px"],
        precision=bundle["precision"],
        device=bundle["device"],
        node_ranks=_node_ranks([bundle]),
        node_cores=machine["cpus"],
        measured=tuple(
            MeasuredSize(ranks=ranks, fed=name == WARM, values=point.rates(name))
            for ranks, point in sorted(points.items())
            if ranks > 1
            for name in (SYNTHETIC, WARM)
        ),
    )


def _node_ranks(bundles: Sequence[Bundle]) -> int:
    """As many as the machine has GPUs, or else cores."""
    machines = [bundle["environment"] for bundle in bundles]
    return max(len(machine["gpus"] or ()) or machine["cpus"] for machine in machines)


def _of_compute(
    alone: Bundle,
    computes: Sequence[Bundle],
    loaders: Sequence[Bundle],
    batch_size: int | None,
    gradient_bytes: float | None,
) -> OneRank:
    row = _row(alone, batch_size)
    compared = [b for b in computes if b["world_size"] > 1 and row in b["values"]]
    rates, cores = alone["values"][row], alone["environment"]["cpus"]
    fed = loaders[0]["values"][FULL] if loaders else [None] * len(rates)
    size = gradient_bytes or alone.get("gradient_bytes")
    if size is None:
        raise MisuseError("The result doesn't say how large the gradients are: give --gradient-mb.")
    return OneRank(
        runs=tuple(
            Rank(
                batch_size=alone["rows"][row]["batch_size"],
                compute_rate=rate,
                loader_rate=loader_rate,
                gradient_bytes=size,
                threads=loaders[0]["threads"] if loaders else cores,
            )
            # Runs of two benchmarks have no order among each other; surplus ones are left out.
            for rate, loader_rate in zip(rates, fed, strict=False)
        ),
        model=alone["settings"]["model"],
        image_size_px=alone["settings"]["image_size"],
        precision=alone["settings"]["precision"],
        device=alone["device"],
        node_ranks=_node_ranks([alone, *compared]),
        # One rank may have been kept to less than the machine has.
        node_cores=max(each["environment"]["cpus"] for each in (alone, *compared)),
        measured=tuple(
            MeasuredSize(ranks=each["world_size"], fed=False, values=tuple(each["values"][row]))
            for each in compared
        ),
    )


def _row(compute: Bundle, batch_size: int | None) -> str:
    """The fastest row of a bundle of bench-compute, of those with that batch size."""
    sizes: dict[str, int] = {row: fields["batch_size"] for row, fields in compute["rows"].items()}
    rows = [row for row, size in sizes.items() if batch_size in (None, size)]
    if not rows:
        known = sorted(set(sizes.values()))
        raise MisuseError(
            f"--batch-size {batch_size} was not measured, but {', '.join(map(str, known))}."
        )
    return max(rows, key=lambda row: float(compute["median"][row]))

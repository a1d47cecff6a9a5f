"""Time that ranks spend to agree on stops, saves and the clock:
``torchrun --nproc_per_node 8 -m benchmarks.agreement``."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from math import inf
from typing import TYPE_CHECKING

import click

from benchmarks.measuring.alternate import alternate
from benchmarks.measuring.config import FROM_ENVIRONMENT, Measuring
from benchmarks.measuring.table import report
from pipeline.errors import MisuseError
from pipeline.options import COUNT, POSITIVE, Command, options, pick_fields, setting

if TYPE_CHECKING:
    from trainer.distributed.agreement import Agreement
    from trainer.distributed.collectives import World

GATHER, MAXIMUM, SPARSE = "all-gather each step", "maximum each step", "maximum every K steps"
# A stop, a save and the clock, as the trainer exchanges them.
VALUES = (0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class AgreementBenchmark(Measuring):
    """Options of the command."""

    step_ms: float = setting(10.0, "Duration of a step, in which the rank sleeps.", POSITIVE)
    steps: int = setting(200, "Steps of a repetition.", COUNT)


@click.command(cls=Command, context_settings=FROM_ENVIRONMENT)
@options(AgreementBenchmark)
def main(**values: object) -> None:
    """Measure the exchanges of 2, 4, 8 and more of the ranks that torchrun started, over gloo. The
    rank that comes last waits for no other, so its time counts."""
    benchmark = pick_fields(AgreementBenchmark, values)
    from trainer.distributed.agreement import Agreement
    from trainer.distributed.process_group import open_world

    with open_world("cpu") as whole:
        sizes = [2**power for power in range(1, 21) if 2**power <= whole.world_size]
        with whole.fail_together():
            if not sizes:
                raise MisuseError(
                    "Start at least 2 ranks: torchrun --nproc_per_node 2 -m benchmarks.agreement"
                )
        counts: dict[str, int] = {}
        candidates: dict[str, Callable[[], float]] = {}
        for size in sizes:
            world = whole.subgroup(size)
            # Its history lasts: after the warm-up K is that of a long run.
            agreement = Agreement(world or whole)
            for way in (GATHER, MAXIMUM, SPARSE):
                name = f"{size} ranks, {way}"
                exchange = partial(_exchange, benchmark, way, agreement)
                candidates[name] = partial(_measure, whole, world, exchange, name, counts)
        rows = alternate(
            candidates, runs=benchmark.runs, warmup=benchmark.warmup, show_progress=whole.rank == 0
        )
        rank = whole.rank
    if rank > 0:
        return
    medians = {row.name: row.median for row in rows}
    largest = f"{sizes[-1]} ranks"
    share = medians[f"{largest}, {SPARSE}"] / (1000 * benchmark.step_ms)
    report(
        f"exchanges of ranks in steps of {benchmark.step_ms:g} ms",
        "us/step",
        rows,
        kind="benchmarks.agreement",
        facts={"settings": asdict(benchmark), "exchanges": counts},
        columns={
            "steps per exchange": {
                name: f"{benchmark.steps / count:.1f}" for name, count in counts.items()
            }
        },
        ratios=False,
        finding=f"{largest} spend {100 * share:.2g} % of the time of a step on exchanges.",
        output=benchmark.output,
    )


def _measure(
    whole: "World",
    world: "World | None",
    exchange: "Callable[[World], tuple[int, list[float]]]",
    name: str,
    counts: dict[str, int],
) -> float:
    """Microseconds a step of all exchanges; nan on ranks that are not part of `world`."""
    figure = float("nan")
    whole.barrier()
    if world is not None:
        steps, durations = exchange(world)
        # The rank that waited least in each exchange.
        least = [min(column) for column in zip(*world.all_gather(durations), strict=True)]
        figure, counts[name] = 1e6 * sum(least) / steps, len(least)
    whole.barrier()
    return figure


def _exchange(
    benchmark: AgreementBenchmark, way: str, agreement: "Agreement", world: "World"
) -> tuple[int, list[float]]:
    """Make steps; their number, and the duration of each exchange on this rank."""
    began, durations = time.perf_counter(), []
    agreement.pause()
    for _ in range(benchmark.steps):
        time.sleep(benchmark.step_ms / 1e3)
        started = time.perf_counter()
        if way == GATHER:
            rows = world.all_gather([*VALUES, started - began])
            [max(column) for column in zip(*rows, strict=True)]
        elif way == MAXIMUM:
            world.all_reduce_max([*VALUES, started - began])
        elif agreement.add_step():
            agreement.exchange(VALUES, started - began)
            agreement.plan(inf)
        else:
            continue
        durations.append(time.perf_counter() - started)
    return benchmark.steps, durations


if __name__ == "__main__":
    from trainer.distributed.exit import entry

    entry(main)

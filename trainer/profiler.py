"""A Chrome trace of a few steps, for chrome://tracing or ui.perfetto.dev."""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from trainer.loop import StepRecord

TRACE_NAME = "trace.json.gz"

# Steps: caches fill and kernels are chosen; the profiler warms up; these are traced.
WAIT_STEPS, WARMUP_STEPS, TRACED_STEPS = 10, 3, 5


def traced(
    steps: Iterator[StepRecord], path: Path, say: Callable[[str], None]
) -> Iterator[StepRecord]:
    """The same steps, of which TRACED_STEPS are traced into `path`; the others cost nothing.

    A run that ends among these leaves a trace of those that it made.
    """
    before, last = WAIT_STEPS + WARMUP_STEPS, WAIT_STEPS + WARMUP_STEPS + TRACED_STEPS
    count = 0

    def write(profiler: torch.profiler.profile) -> None:
        profiler.export_chrome_trace(str(path))
        say(f"A trace of {count - before} steps is in {path}: open it in ui.perfetto.dev.")

    try:
        with torch.profiler.profile(
            schedule=torch.profiler.schedule(
                wait=WAIT_STEPS, warmup=WARMUP_STEPS, active=TRACED_STEPS, repeat=1
            ),
            on_trace_ready=write,
        ) as profiler:
            for record in steps:
                count += 1
                profiler.step()
                yield record
                if count == last:
                    break
    finally:  # whoever drives may leave with the last step
        if count <= before:
            say(f"--profile traces the steps from {before + 1} to {last}: too few here.")
    yield from steps

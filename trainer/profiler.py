"""A Chrome trace of a few steps (``--profile``), for chrome://tracing or ui.perfetto.dev."""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from trainer.files import write_error
from trainer.loop import StepRecord

# Steps until caches are full and kernels chosen, until the profiler is warm, and of the trace.
WAIT_STEPS, WARMUP_STEPS, TRACED_STEPS = 10, 3, 5


def trace_steps(
    steps: Iterator[StepRecord], path: Path, print_message: Callable[[str], None]
) -> Iterator[StepRecord]:
    """Yield `steps` and write a trace of TRACED_STEPS of them to `path`; others have no overhead.

    A run that ends within these steps writes a trace of those that it made.
    """
    before, last = WAIT_STEPS + WARMUP_STEPS, WAIT_STEPS + WARMUP_STEPS + TRACED_STEPS
    count = 0

    def write(profiler: torch.profiler.profile) -> None:
        try:
            path.unlink(missing_ok=True)
            profiler.export_chrome_trace(str(path))
        except OSError as error:
            raise write_error(path, error) from error
        print_message(f"Trace of {count - before} steps: {path}, to open in ui.perfetto.dev.")

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
    finally:  # also if the consumer stops after the last step
        if count <= before:
            print_message(
                f"--profile traces steps {before + 1} to {last}; there were only {count}."
            )
    yield from steps

"""What a GPU has to show, in one command: ``python -m benchmarks.on_gpu``.

Each part runs in a process of its own with a time limit, and adds a line to results.jsonl when it
ends, in whichever way. The tables are printed last, from the lines that are there.
``--device cpu`` runs small versions of the parts on a machine without a GPU.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmarks.measuring.worker_process import exit_on_sigterm
from benchmarks.on_gpu import results
from benchmarks.on_gpu.command_runs import environment
from benchmarks.on_gpu.config import MIN_PART_SECONDS, GpuRun
from benchmarks.on_gpu.part_process import PASSED, Ended, PartProcess
from benchmarks.on_gpu.parts import Part, select
from benchmarks.on_gpu.tables import tables
from pipeline.child_process import module_command
from pipeline.console import print_line
from pipeline.errors import DataError
from pipeline.options import Command, options, pick_fields


@click.command(cls=Command)
@options(GpuRun)
def main(**values: Any) -> None:
    """Run the tests that need a GPU and measure decoders, steps, trainings and the loader, in
    parts. Each part adds a line to results.jsonl when it ends, crash or not; tables of all lines
    are printed last."""
    config = pick_fields(GpuRun, values)
    parts, out = select(config), Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    with exit_on_sigterm():
        try:
            ended = run_parts(parts, config, out)
        finally:
            text = tables(results.read(out))
            (out / results.TABLES_NAME).write_text(text, encoding="utf-8")
            print_line(text)
    if failed := [each.part for each in ended if each.outcome != PASSED]:
        raise DataError(
            f"These parts did not pass: {', '.join(failed)}. See {out / results.LOG_NAME}."
        )


def run_parts(parts: Sequence[Part], config: GpuRun, out: Path) -> list[Ended]:
    """Run `parts` one after the other until --deadline; a part that fails stops no other."""
    start, ended = time.monotonic(), []
    for part in parts:
        names: dict[str, Any] = {"part": part.name, "group": part.group, "device": config.device}
        left = (config.deadline or float("inf")) - (time.monotonic() - start)
        log = None
        if left < MIN_PART_SECONDS:
            ended.append(Ended(**names, outcome="skipped at --deadline"))
        else:
            print_line(f"{part.name} ...", err=True)
            process = PartProcess(
                command=command(part, config),
                variables=environment(config),
                limit_seconds=min(part.limit_seconds, left),
            )
            try:
                one, log = process.run(**names)
            except (KeyboardInterrupt, SystemExit):
                results.append(out, Ended(**names, outcome="stopped with the command"))
                raise
            ended.append(one)
            print_line(f"{part.name}: {one.outcome}, {one.seconds:.0f} s", err=True)
        results.append(out, ended[-1], log)
    return ended


def command(part: Part, config: GpuRun) -> list[str]:
    """The command of a part's process, without its last argument, the result file."""
    absolute = {
        name: str(Path(value).absolute())
        for name in ("src", "out", "data")
        if (value := getattr(config, name)) is not None
    }
    values = json.dumps({**asdict(config), **absolute, "parts": None})
    return module_command("benchmarks.on_gpu.part", part.name, values)


if __name__ == "__main__":
    main()

"""The process of a part: ``python -m benchmarks.on_gpu.part NAME OPTIONS OUTPUT``, with the options
of the command as JSON."""

import json
import sys

import click

from benchmarks.on_gpu.config import GpuRun
from benchmarks.on_gpu.parts import PARTS
from pipeline.console import print_line


def main(name: str, options: str, output: str) -> None:
    part = next(part for part in PARTS if part.name == name)
    try:
        part.run(GpuRun(**json.loads(options)), output)
    except click.ClickException as error:
        print_line(error.message, err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Run the commands of a page as they stand there."""

import os
import runpy
import shlex
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import torch
import torch.distributed.run
import torchvision

import trainer.__main__
from tests.helpers.processes import FORKED, print_to

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
SCRIPTS = tomllib.loads(PROJECT.read_text())["project"]["scripts"]
# Commands of benchmarks stand there as for a user; a test needs their course, not their figures.
BRIEFLY = {"BENCH_RUNS": "1", "BENCH_WARMUP": "0", "BENCH_SECONDS": "0.05"}


def be(command: str, folder: Path, output: Path) -> None:
    """Become what the command starts, without importing again what this process has imported."""
    print_to(output)
    os.chdir(folder)
    os.environ |= BRIEFLY | {"VIRTUAL_ENV": sys.prefix, "TORCH_HOME": str(folder / "torch")}
    os.environ["PATH"] = f"{Path(sys.prefix, 'bin')}{os.pathsep}{os.environ['PATH']}"
    words = shlex.split(command)
    if words[:2] == ["python", "-m"]:
        sys.argv = words[2:]
        runpy.run_module(words[2], run_name="__main__", alter_sys=True)
    elif words[0] == "torchrun" and "4" in words:  # with 2 ranks it is started as it stands there
        *options, flag, module = words[1:]
        assert (flag, module) == ("-m", "trainer")
        torch.distributed.run.main([*options, *FORKED, trainer.__main__.__file__])
    elif words[0].startswith(("bench-", "shardline")):
        sys.argv = words
        module, _, function = SCRIPTS[words[0]].partition(":")
        getattr(import_module(module), function)()
    else:
        os.execvp(words[0], words)


def write_weights(folder: Path) -> None:
    """Random weights of ResNet-18 in `folder`/torch, where torch.hub keeps those it has downloaded:
    there may be no network."""
    cache = folder / "torch" / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    name = torchvision.models.ResNet18_Weights.DEFAULT.url.rpartition("/")[2]
    torch.save(torchvision.models.resnet18().state_dict(), cache / name)

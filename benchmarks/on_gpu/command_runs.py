"""Parts that are commands of the project, with their arguments."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.on_gpu.config import GpuRun
from pipeline.child_process import module_command, module_variables

Arguments = Callable[[GpuRun], Sequence[str]]


@dataclass(frozen=True)
class CommandRun:
    """Replaces this process by a command of the project, in the folder of ``shards`` as JPEG if it
    needs them; `on_cpu` are further arguments that make it small."""

    module: str
    arguments: Arguments
    on_cpu: Arguments = lambda config: ()
    needs_shards: bool = True

    def __call__(self, config: GpuRun, output: str) -> None:
        if self.needs_shards:
            from benchmarks.on_gpu.pictures import shards_folder

            os.chdir(shards_folder(config, "jpeg"))
        words = module_command(self.module, *self.words(config), "--output", output)
        os.execve(words[0], words, module_variables())

    def words(self, config: GpuRun) -> list[str]:
        small = self.on_cpu(config) if config.device == "cpu" else ()
        return [*self.arguments(config), *small]


def compute(*modes: str) -> CommandRun:
    def arguments(config: GpuRun) -> list[str]:
        words = [
            "--batch-size",
            str(config.amounts.batch_size),
            "--precision",
            config.amounts.precision,
        ]
        words += ["--device", config.device, *repeated(config)]
        return words + [word for mode in modes for word in ("--mode", mode)]

    def small(config: GpuRun) -> list[str]:
        return [*small_model(config)]

    return CommandRun("benchmarks.compute", arguments, small, needs_shards=False)


def sweep(setting: str) -> CommandRun:
    def arguments(config: GpuRun) -> list[str]:
        batch = ("--batch-size", str(config.amounts.batch_size))
        return ["--sweep", setting, *batch, *repeated(config)]

    return CommandRun("benchmarks.loader", arguments)


def peers(config: GpuRun) -> list[str]:
    from benchmarks.on_gpu.pictures import pictures_folder

    amounts = config.amounts
    names = ("shardline", "torch-tensor", "dali-memory", "dali-reader")
    return [
        *("--src", str(pictures_folder(config)), "--data", str(config.data_folder)),
        *("--images", str(amounts.images), "--batch-size", str(amounts.batch_size)),
        *("--device", config.device, *repeated(config)),
        *(word for name in names for word in ("--peers", name)),
    ]


def repeated(config: GpuRun) -> tuple[str, ...]:
    return "--runs", str(config.amounts.runs), "--seconds", str(config.amounts.seconds)


def small_model(config: GpuRun) -> tuple[str, ...]:
    return "--model", config.amounts.model, "--image-size", str(config.amounts.image_size_px)


def small_loader(config: GpuRun) -> tuple[str, ...]:
    return "--batch-size", str(config.amounts.batch_size), *repeated(config)


def small_scaling(config: GpuRun) -> tuple[str, ...]:
    return (
        *small_model(config),
        *small_loader(config),
        "--mode",
        "weak",
        "--device",
        "cpu",
        "--precision",
        config.amounts.precision,
    )


def environment(config: GpuRun) -> dict[str, str]:
    """Environment variables of a part's process: our modules can be imported in any folder, and a
    part for the CPU sees no GPU."""
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if config.device == "cpu" else {}
    return module_variables(**hidden)


def fixed(*words: str) -> Arguments:
    return lambda config: words

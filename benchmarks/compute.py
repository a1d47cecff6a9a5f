"""What the training loop costs: the trainer's own steps beside bare forward, backward and update
of the same model and optimizer, on one synthetic batch, in one process, alternating."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from benchmarks.measure import Measuring, alternate, report
from pipeline.options import options, take

# The trainer's loop must reach this share of the bare loop's rate.
BAR = 0.97


@click.command()
@click.option("--model", default="resnet50", show_default=True, help="A torchvision classifier.")
@click.option("--image-size", default=224, show_default=True, help="Side of the images in px.")
@click.option("--batch-size", default=32, show_default=True, help="Images of a step.")
@click.option("--steps", default=10, show_default=True, help="Steps of a run.")
@options(Measuring)
def main(model: str, image_size: int, batch_size: int, steps: int, **values: Any) -> None:
    """Measure the trainer's steps against bare ones."""
    from trainer.distributed import open_world

    measuring = take(Measuring, values)
    with open_world("auto") as world:
        contenders = _contenders(model, image_size, batch_size, steps, world.device.type)
        measurements = alternate(contenders, runs=measuring.runs, warmup=measuring.warmup)
    bare, trainer = (measurement.median for measurement in measurements)
    report(
        f"compute: {model} at {image_size} px, batch {batch_size}",
        "images/s",
        measurements,
        facts={"ratio": trainer / bare, "bar": BAR, "steps": steps, "device": world.device.type},
        output=measuring.output,
    )


def _contenders(
    name: str, image_size: int, batch_size: int, steps: int, kind: str
) -> dict[str, Callable[[], float]]:
    """Both loops over one model; each call makes `steps` steps and returns images/s."""
    import torch

    from pipeline.loader import Loader
    from pipeline.synthetic import synthetic_loader
    from trainer.config import RecipeConfig
    from trainer.loop import train_steps
    from trainer.model import build_model
    from trainer.optim import build_optimizer, build_schedule
    from trainer.precision import autocast_dtype
    from trainer.update import Update

    device = torch.device(kind)
    half = (0.5, 0.5, 0.5)
    model = build_model(
        name, classes=1000, image_size_px=image_size, mean=half, std=half, seed=0
    ).to(device)
    config = RecipeConfig(model=name, epochs=1, global_batch_size=batch_size)
    optimizer = build_optimizer(model, config)
    dtype = autocast_dtype("auto", device, model)
    update = Update(model=model, optimizer=optimizer, dtype=dtype)
    end = steps * batch_size
    schedule = build_schedule(config, samples=end, end_position=end)

    def batches() -> Loader:
        return synthetic_loader(
            batch_size=batch_size,
            image_size=image_size,
            classes=1000,
            device=device,
            end_position=end,
        )

    def bare() -> None:
        _bare_steps(model, optimizer, next(iter(batches())), steps=steps, dtype=dtype)

    def trainer() -> None:
        for _ in train_steps(batches(), update, schedule=schedule, global_batch_size=batch_size):
            pass

    def rate(loop: Callable[[], None]) -> float:
        started = time.perf_counter()
        loop()
        if kind == "cuda":
            torch.cuda.synchronize()
        return end / (time.perf_counter() - started)

    return {"bare": partial(rate, bare), "trainer": partial(rate, trainer)}


def _bare_steps(model: Any, optimizer: Any, batch: Any, *, steps: int, dtype: Any) -> None:
    """What any training loop must do, and nothing else."""
    import torch
    from torch.nn.functional import cross_entropy

    for _ in range(steps):
        with torch.autocast(batch.images.device.type, dtype, enabled=dtype is not None):
            logits = model(batch.images)
        cross_entropy(logits.float(), batch.labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


if __name__ == "__main__":
    main()

"""bench-loader: images/s of the input pipeline alone, on a shard directory."""

from dataclasses import asdict, dataclass
from typing import Any

import click

from benchmarks.measure import Measurement, Measuring, lap, report
from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from pipeline.options import options, setting, take
from pipeline.profile_file import profile_file


@dataclass(frozen=True, kw_only=True)
class LoaderBenchmark(Measuring):
    batch_size: int = setting(64, "Images in a batch.")
    seconds: float = setting(2.0, "Length of a run.")
    split: str = setting("train", "Split to read.")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, low in (("batch_size", 1), ("seconds", 0.01)):
            if getattr(self, name) < low:
                flag = "--" + name.replace("_", "-")
                raise MisuseError(f"{flag} must be at least {low}, not {getattr(self, name)}.")


@click.command()
@profile_file
@options(LoaderBenchmark, PipelineConfig)
def main(**values: Any) -> None:
    """Measure the input pipeline alone: read, decode, augment, hand over; no model."""
    benchmark, config = take(LoaderBenchmark, values), take(PipelineConfig, values)
    measurement, facts = measure_loader(benchmark, config)
    title = (
        f"loader at {facts['image_size_px']} px, batch {benchmark.batch_size}, "
        f"{facts['threads']} threads, {facts['device']}"
    )
    report(title, "images/s", [measurement], facts=facts, output=benchmark.output)


def measure_loader(
    benchmark: LoaderBenchmark, config: PipelineConfig
) -> tuple[Measurement, dict[str, Any]]:
    """Images/s of one endless training loader over consecutive runs, and how it was measured."""
    import torch

    from pipeline.config import resolve_sizes
    from pipeline.dataset import Dataset
    from pipeline.loaders import train_loader

    dataset = Dataset(config.shards)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    synchronize = torch.cuda.synchronize if device.type == "cuda" else torch.cpu.synchronize
    with train_loader(
        dataset,
        config,
        global_batch_size=benchmark.batch_size,
        device=device,
        split=benchmark.split,
    ) as loader:
        images = (len(batch.samples) for batch in loader)
        laps = [
            lap(images, benchmark.seconds, synchronize)
            for _ in range(benchmark.warmup + benchmark.runs)
        ][benchmark.warmup :]
    facts = {
        "images_per_cpu_second": sum(run.images for run in laps)
        / sum(run.cpu_seconds for run in laps),
        "device": str(device),
        "threads": config.resolved_threads,
        "image_size_px": resolve_sizes(config, dataset.manifest).image_size_px,
        "settings": asdict(benchmark) | asdict(config),
        "dataset": dataset.fingerprint,
    }
    return Measurement(name="loader", values=tuple(run.images_per_second for run in laps)), facts


if __name__ == "__main__":
    main()

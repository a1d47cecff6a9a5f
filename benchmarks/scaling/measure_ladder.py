"""bench-scaling's main measurement: the stall ladder at each size, weak and strong."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.result_file import SCALING
from benchmarks.measuring.table import report
from benchmarks.scaling.analysis import build_points
from benchmarks.scaling.config import ScalingBenchmark
from benchmarks.scaling.plan import ScalingPlan, check_model, plan_scaling
from benchmarks.scaling.record import Measured, read_measured
from benchmarks.scaling.text import failed_gates, find_scaling, point_columns, show_ladder
from benchmarks.scaling.torchrun import torchrun
from pipeline.machine import available_bytes, available_cores
from trainer.config import Settings
from trainer.data import TrainingData, open_data


def measure_ladder(
    benchmark: ScalingBenchmark, settings: Settings, typed: Mapping[str, Any]
) -> None:
    data = open_data(settings.pipeline, synthetic=False)
    plan = plan_scaling(benchmark, settings, typed, image_size_px=data.image_size_px)
    check_model(plan.settings, data)
    measured = _measured(benchmark, plan)
    if measured is None:
        print("Measured; the machine of rank 0 has the result.")
        return
    facts = _facts(benchmark, plan, data)
    cores = available_cores() // (benchmark.cores_per_rank or 1)
    points = build_points(measured, cores=cores, fits_in_page_cache=facts["fits_in_page_cache"])
    show_ladder(points)
    report(
        f"scaling: {plan.settings.recipe.model} at {data.image_size_px} px on {facts['device']}",
        "images/s",
        [Measurement(name=point.name, values=point.rates()) for point in points],
        kind=SCALING,
        facts=facts | {"points": [point.as_record() for point in points]},
        columns=point_columns(points),
        ratios=False,
        notes=[*failed_gates(points), *(point.sentence for point in points)],
        finding=find_scaling(points),
        output=benchmark.output,
    )


def _measured(benchmark: ScalingBenchmark, plan: ScalingPlan) -> list[Measured] | None:
    """What the ranks measured; None on a machine without rank 0."""
    from benchmarks.scaling.ranks import RanksJob

    with TemporaryDirectory(prefix="bench-scaling-") as folder:
        job, result = Path(folder, "job.json"), Path(folder, "result.json")
        RanksJob(
            sizes=plan.sizes,
            settings=plan.settings.to_dict(),
            seconds=benchmark.seconds,
            runs=benchmark.runs,
            warmup=benchmark.warmup,
            cores_per_rank=benchmark.cores_per_rank,
            folder=folder,
            result=str(result),
        ).write(job)
        torchrun(benchmark, plan.ranks_per_node, "-m", "benchmarks.scaling.ranks", str(job))
        if not result.exists():
            return None
        return [read_measured(record) for record in json.loads(result.read_text())]


def _facts(benchmark: ScalingBenchmark, plan: ScalingPlan, data: TrainingData) -> dict[str, Any]:
    assert data.dataset is not None
    cuda = plan.settings.machine.device != "cpu" and torch.cuda.is_available()
    split_bytes = sum(shard.bytes for shard in data.dataset.split("train").split.shards)
    return {
        "model": plan.settings.recipe.model,
        "image_size_px": data.image_size_px,
        "device": torch.cuda.get_device_name() if cuda else "CPU",
        "precision": plan.settings.machine.precision,
        "dataset": data.fingerprint,
        "split_bytes": split_bytes,
        "fits_in_page_cache": split_bytes <= available_bytes(),
        "settings": asdict(benchmark)
        | plan.settings.to_dict()
        | {"ranks": plan.ranks, "batch_size": plan.batch_size}
        | {"global_batch_size": plan.global_batch_size},
    }

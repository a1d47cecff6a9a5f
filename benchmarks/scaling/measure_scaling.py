"""Measure the stall ladder at each world size."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.entries import from_json
from benchmarks.measuring.result_file import SCALING
from benchmarks.measuring.table import report
from benchmarks.scaling.config import LadderConfig
from benchmarks.scaling.plan import ScalingPlan, check_model, plan_scaling
from benchmarks.scaling.points import build_points
from benchmarks.scaling.record import MODES, LadderMeasurement
from benchmarks.scaling.text import describe_scaling, failed_checks, point_columns, show_ladder
from benchmarks.scaling.torchrun import torchrun
from pipeline.console import print_line
from pipeline.limits.cores import available_cores
from pipeline.limits.memory import available_bytes
from trainer.config import Settings
from trainer.data import TrainingData, open_data


def measure_ladder(
    config: LadderConfig,
    settings: Settings,
    typed: Mapping[str, Any],
    *,
    modes: Sequence[str] = MODES,
) -> None:
    """Measure and report; `typed` are those of `settings` that are not defaults."""
    data = open_data(settings.pipeline, synthetic=False)
    plan = plan_scaling(config, settings, typed, image_size_px=data.image_size_px, modes=modes)
    check_model(plan.settings, data)
    measurements = _measure(config, plan)
    if measurements is None:
        print_line("Finished: the machine of rank 0 has the result.")
        return
    facts = _facts(config, plan, data)
    cores = available_cores() // (config.cores_per_rank or 1)
    points = build_points(measurements, cores=cores, fits_in_page_cache=facts["fits_in_page_cache"])
    show_ladder(points)
    report(
        f"scaling: {plan.settings.recipe.model} at {data.image_size_px} px on {facts['device']}",
        "images/s",
        [Measurement(name=point.name, values=point.rates()) for point in points],
        kind=SCALING,
        facts=facts | {"points": [point.to_dict() for point in points]},
        columns=point_columns(points),
        ratios=False,
        notes=[*failed_checks(points), *(point.sentence for point in points)],
        finding=describe_scaling(points),
        output=config.output,
    )


def _measure(config: LadderConfig, plan: ScalingPlan) -> Sequence[LadderMeasurement] | None:
    """Start the ranks; None on a machine without rank 0."""
    from benchmarks.scaling.ranks import RanksRequest

    with TemporaryDirectory(prefix="bench-scaling-") as folder:
        path, result = Path(folder, "request.json"), Path(folder, "result.json")
        request = RanksRequest(
            sizes=plan.sizes,
            settings=plan.settings.to_dict(),
            seconds=config.seconds,
            runs=config.runs,
            warmup=config.warmup,
            cores_per_rank=config.cores_per_rank,
            folder=folder,
            result=str(result),
        )
        path.write_text(json.dumps(asdict(request)))
        torchrun(config, plan.ranks_per_node, "-m", "benchmarks.scaling.ranks", str(path))
        if not result.exists():
            return None
        return [from_json(LadderMeasurement, record) for record in json.loads(result.read_text())]


def _facts(config: LadderConfig, plan: ScalingPlan, data: TrainingData) -> dict[str, Any]:
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
        "settings": asdict(config)
        | plan.settings.to_dict()
        | {"ranks": plan.ranks, "batch_size": plan.batch_size}
        | {"global_batch_size": plan.global_batch_size},
    }

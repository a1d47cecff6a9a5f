"""Exports the network of a run: builds it, writes the file, compares the file with torch."""

from pathlib import Path
from typing import Any

import torch

from pipeline.console import print_json, print_line
from pipeline.errors import DataError, MisuseError
from trainer.exporting.comparison import BATCHES, TOLERANCE, enlarged, images_of, largest_difference
from trainer.exporting.facts import export_facts, input_facts, weights_facts
from trainer.exporting.formats import Format, Onnx, Safetensors, TorchScript
from trainer.exporting.network import ExportedNetwork
from trainer.files import replaced
from trainer.model.sources.source import ModelSource, NetworkSpec
from trainer.model.sources.stored_file import NO_TRUST, Trust
from trainer.run_model import network_spec
from trainer.trained_run import TrainedRun, open_run

# The number of images that torch traces with: torch.export takes a size of 1 for a constant.
_TRACED = 2


def export_run(
    directory: Path,
    checkpoint: str | None,
    *,
    to: str,
    out: Path,
    is_float: bool = False,
    any_size: bool = False,
    trust: Trust = NO_TRUST,
) -> None:
    """Write the network of `checkpoint`, by default the best of the run, to `out` in the format
    `to`; no file is left there by an error.

    Raises ``DataError`` if there is no checkpoint, if the network can't be exported, or if the file
    computes something else; ``MisuseError`` if the model doesn't take `any_size`.
    """
    run = open_run(directory, trust)
    path = run.checkpoint(checkpoint)
    if out.exists() and out.samefile(path):
        raise MisuseError(f"--out {out} is the checkpoint to export: give another file.")
    source, spec = run.model_source(), network_spec(run.settings, run.data, run.task)
    facts = export_facts(run, path, source.constructor(spec))
    facts |= weights_facts(run) if to == "safetensors" else {}
    facts |= {} if to == "safetensors" else input_facts(is_float=is_float, any_size=any_size)
    model = run.load_model(path)
    expected = ExportedNetwork(model, run.task)
    exported = ExportedNetwork(model, run.task, is_float=is_float)
    images, place = images_of(run, max(BATCHES))
    others = [_other_size(expected, images, source.name)] if any_size else []
    with replaced(out) as partial:
        form = _format(to, run, source, spec)
        difference = _write(form, partial, to, exported, expected, [images, *others], facts)
    print_line(
        f"Exported {path} ({facts['weights']} weights) to {out}. On batches of "
        f"{' and '.join(map(str, BATCHES))} {place} its outputs differ by {difference:.1e} from "
        f"those in torch; up to {TOLERANCE:.0e} is allowed."
    )
    print_json(
        {
            "out": str(out),
            "to": to,
            "bytes": out.stat().st_size,
            "run": str(directory),
            "checkpoint": str(path),
            "weights": facts["weights"],
            "compared_with": place,
            "difference": difference,
        }
    )


def _write(
    form: Format,
    path: Path,
    to: str,
    exported: ExportedNetwork,
    expected: ExportedNetwork,
    batches: list[torch.Tensor],
    facts: dict[str, Any],
) -> float:
    """Write and read the file; the largest difference."""
    # The larger ones: torch.export would take a feature map of one pixel for a constant.
    example = exported.images_for(batches[-1][:_TRACED])
    try:
        with torch.no_grad():
            form.write(path, exported, example, facts)
    except (OSError, DataError):
        raise
    # Exporters raise nearly every kind of error for networks that they can't follow.
    except Exception as error:
        raise DataError(
            f"--to {to}: {facts['model']} can't be exported ({_reason(error)}): give another --to, "
            f"or change the model so that its forward() has no branches or loops that depend on "
            f"values or sizes."
        ) from error
    try:
        outputs = form.read(path, exported)
        difference = max(
            largest_difference(
                lambda images: outputs(exported.images_for(images)), expected, images
            )
            for images in batches
        )
    except Exception as error:
        raise DataError(
            f"--to {to}: the exported file of {facts['model']} fails when it is used "
            f"({_reason(error)}), so it is not kept: give another --to."
        ) from error
    if difference <= TOLERANCE:
        return difference
    raise DataError(
        f"--to {to}: the outputs of the exported file differ by {difference:.2g} from those in "
        f"torch, and only {TOLERANCE:.0e} is allowed, so it is not kept. If forward() of "
        f"{facts['model']} draws numbers, or has branches or loops that depend on values or sizes, "
        f"rewrite them{', or leave out --any-size' if len(batches) > 1 else ''}, or give another "
        f"--to."
    )


def _reason(error: BaseException) -> str:
    """The first line of the error that is behind others."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _format(to: str, run: TrainedRun, source: ModelSource, spec: NetworkSpec) -> Format:
    if to == "onnx":
        return Onnx()
    if to == "torchscript":
        return TorchScript()
    constructor = source.constructor(spec)
    if run.settings.recipe.blurpool:
        raise DataError(
            f"--to safetensors: {run.directory} was trained with --blurpool, whose filters "
            f"{source.name} lacks elsewhere, so that the weights alone give other outputs: give "
            f"--to onnx or --to torchscript."
        )
    return Safetensors((lambda: source.build(spec)) if constructor is None else constructor.call)


@torch.no_grad()
def _other_size(network: ExportedNetwork, images: torch.Tensor, name: str) -> torch.Tensor:
    """`images` in another size. Raises ``MisuseError`` if `network` doesn't take it."""
    other = enlarged(images)
    try:
        network(other[:1])
    except Exception as error:
        height, width = images.shape[2:]
        raise MisuseError(
            f"--any-size: {name} takes images of {height} x {width} px only, for which it was "
            f"built: leave it out."
        ) from error
    return other

"""What a model can't do is found before the first step, on torch's meta device, whose tensors have
shapes but no values."""

import copy
from collections.abc import Sequence

import torch
from torch import nn

from pipeline.errors import MisuseError
from trainer.model.build import Classifier, require_logits

# Most names that a message lists.
_NAMED = 3


def check_single_images(model: Classifier, sizes_px: Sequence[int]) -> None:
    """Raise ``MisuseError`` unless `model` trains on one image of each of `sizes_px` at a time."""
    if problem := _problem_with_single_images(model, sizes_px):
        raise MisuseError(
            f"This model cannot train on one image of {problem}: give each rank 2 or more images "
            f"by --global-batch-size and --accumulate-steps or, for most models, raise "
            f"--image-size."
        )


def smallest_batch(model: Classifier, sizes_px: Sequence[int]) -> int:
    """The number of images of `sizes_px` on which `model` can be trained: 1 or 2."""
    return 2 if _problem_with_single_images(model, sizes_px) else 1


def _problem_with_single_images(model: Classifier, sizes_px: Sequence[int]) -> str | None:
    """For which of `sizes_px` a batch norm would get a single value per channel; None for none."""
    meta_model = copy.deepcopy(model).to("meta").train()
    for side_px in sizes_px:
        try:
            meta_model(_images(1, side_px))
        except ValueError as error:
            return f"{side_px} x {side_px} px at a time ({error})"
    return None


def check_training(model: Classifier, name: str, *, outputs: int, sizes_px: Sequence[int]) -> None:
    """Rehearse a step of the model `name` with two images of each of `sizes_px`.

    Raises ``MisuseError`` if it can't be copied, fails in training, returns something else than
    logits there, or leaves a parameter without a gradient, for which DDP would wait.
    """
    for side_px in sizes_px:
        network, logits, shape = _rehearse(model, name, outputs, side_px)
        if not (isinstance(logits, torch.Tensor) and logits.ndim == 5):  # with an auxiliary head
            require_logits(name, logits, shape)
        _require_gradients(network, name, logits)


def _rehearse(
    model: Classifier, name: str, outputs: int, side_px: int
) -> tuple[nn.Module, torch.Tensor, tuple[int, ...]]:
    """A copy of the network, what it returns in training, and the shape that this should have."""
    try:
        trained = copy.deepcopy(model).train()
    except (RuntimeError, TypeError, AttributeError) as error:
        raise MisuseError(
            f"--model {name} can't be copied ({error}), which --ema-decay and checks need: let its "
            f"attributes be layers, parameters, buffers and plain values."
        ) from error
    images = _images(2, side_px)
    try:
        on_meta = copy.deepcopy(trained).to("meta")
        return on_meta.network, on_meta(images), model.output_shape(outputs, images)
    except Exception:
        # It reads values, which the meta device lacks, or it fails anywhere.
        images = torch.zeros(images.shape, dtype=torch.uint8)
    try:
        return trained.network, trained(images), model.output_shape(outputs, images)
    except Exception as error:
        raise MisuseError(
            f"--model {name} fails in training on images of {side_px} x {side_px} px "
            f"({type(error).__name__}: {error}): correct it, or change --image-size."
        ) from error


def _require_gradients(network: nn.Module, name: str, logits: torch.Tensor) -> None:
    network.zero_grad(set_to_none=True)
    if logits.requires_grad:
        logits.sum().backward()  # type: ignore[no-untyped-call]
    idle = [
        parameter_name
        for parameter_name, parameter in network.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]
    if idle:
        more = f" and {len(idle) - _NAMED} more" if len(idle) > _NAMED else ""
        raise MisuseError(
            f"--model {name}: {', '.join(idle[:_NAMED])}{more} get no gradient, so they can't be "
            f"trained, and DDP would wait for them: remove these parameters, or set their "
            f"requires_grad to False."
        )


def _images(count: int, side_px: int) -> torch.Tensor:
    return torch.zeros(count, 3, side_px, side_px, dtype=torch.uint8, device="meta")

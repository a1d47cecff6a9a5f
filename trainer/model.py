"""Any torchvision classifier, or a ResNet for small images, fed with uint8 images."""

import difflib
from collections.abc import Sequence
from typing import Any

import torch
import torchvision
from torch import nn

from pipeline.errors import MisuseError
from trainer.blur import add_blur
from trainer.distributed import World
from trainer.small_resnet import SMALL_RESNETS, small_resnet


class Classifier(nn.Module):
    """`network` behind the normalisation of its input.

    Args:
        mean, std: per RGB channel, in fractions of 255.
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, network: nn.Module, *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        # A channel that never varies would be divided by 0: no less than one step of 255.
        divisor = torch.tensor(std).clamp(min=1 / 255).view(3, 1, 1)
        self.network = network
        self.register_buffer("scale", 1 / (255 * divisor), persistent=False)
        self.register_buffer("shift", -torch.tensor(mean).view(3, 1, 1) / divisor, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, 3, H, W) -> logits, floating point, (B, classes)."""
        logits: torch.Tensor = self.network(images * self.scale + self.shift)
        return logits


def build_model(
    name: str,
    *,
    classes: int,
    image_size_px: int,
    mean: Sequence[float],
    std: Sequence[float],
    seed: int,
    other_sizes_px: Sequence[int] = (),
    blurpool: bool = False,
) -> Classifier:
    """The classifier `name` on the CPU in channels-last memory, the same for the same `seed`.

    Raises ``MisuseError`` if there is none of that name or it can't take such images, or those of
    `other_sizes_px` that it will meet in training.
    """
    names = [*torchvision.models.list_models(module=torchvision.models), *SMALL_RESNETS]
    if name not in names:
        close = difflib.get_close_matches(name, names) or ["resnet50"]
        raise MisuseError(f"There is no classifier {name!r}. Close to it: {', '.join(close)}.")
    torch.manual_seed(seed)
    side_px = image_size_px
    try:
        network = _network(name, classes=classes, image_size_px=image_size_px)
        if blurpool and not add_blur(network):
            raise MisuseError(
                f"--blurpool: {name} has no convolution with a stride to blur before."
            )
        model = Classifier(network, mean=mean, std=std).to(memory_format=torch.channels_last)
        for side_px in (image_size_px, *other_sizes_px):
            _try_on_an_image(model, side_px)
    # torchvision's models assert and raise as they like on sizes that they weren't made for.
    except (RuntimeError, ValueError, AssertionError) as error:
        raise MisuseError(
            f"{name} can't take images of {side_px} x {side_px} px ({error}): "
            f"give another --image-size, --progressive-resize or --model."
        ) from error
    return model


def average_buffers(model: nn.Module, world: World) -> None:
    """Average the running statistics of batch norm over the ranks.

    They are linear in what the ranks saw, so it doesn't matter when or how often this is done.
    """
    world.average_(buffer for buffer in model.buffers() if buffer.is_floating_point())


def _network(name: str, *, classes: int, image_size_px: int) -> nn.Module:
    if name in SMALL_RESNETS:
        return small_resnet(name, classes=classes)
    network: nn.Module = torchvision.models.get_model(
        name, weights=None, num_classes=classes, **_special_arguments(name, image_size_px)
    )
    return network


def _special_arguments(name: str, image_size_px: int) -> dict[str, Any]:
    if name in ("googlenet", "inception_v3"):
        # Auxiliary heads would make the output a tuple.
        return {"aux_logits": False, "init_weights": True}
    if name.startswith(("resnet", "resnext", "wide_resnet")):
        # Each block begins as the identity (Goyal et al. 2017, section 5.1).
        return {"zero_init_residual": True}
    if name.startswith("vit_"):
        return {"image_size": image_size_px}
    if name.startswith("maxvit"):
        return {"input_size": (image_size_px, image_size_px)}
    return {}


@torch.no_grad()
def _try_on_an_image(model: Classifier, image_size_px: int) -> None:
    model.eval()
    model(torch.zeros(1, 3, image_size_px, image_size_px, dtype=torch.uint8))
    model.train()

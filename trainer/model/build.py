"""Any torchvision classifier or model of segmentation, or a ResNet for small images, fed with uint8
images."""

import copy
import difflib
from collections.abc import Sequence
from typing import Any

import torch
import torchvision
from torch import nn

from pipeline.errors import MisuseError
from trainer.model.blurpool import add_blur
from trainer.model.cifar_resnet import SMALL_RESNETS, cifar_resnet

# torch's default. With MobileNetV3's 0.01 the initial statistics last for thousands of steps; runs
# on masks have hundreds, and their evaluations would see one class everywhere.
BATCH_NORM_MOMENTUM = 0.1


class Classifier(nn.Module):
    """`network` behind the normalization of its input.

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


class Segmenter(Classifier):
    """A network that gives "out" and, with an auxiliary head, "aux" for each pixel."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, 3, H, W) -> logits, (B, classes, H, W); in training with an auxiliary head
        (B, 2, classes, H, W), its own second."""
        heads = self.network(images * self.scale + self.shift)
        logits: torch.Tensor = heads["out"]
        with_auxiliary = self.training and "aux" in heads
        return torch.stack([logits, heads["aux"]], dim=1) if with_auxiliary else logits


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
    pixelwise: bool = False,
) -> Classifier:
    """The model `name` on the CPU in channels-last memory, the same for the same `seed`; of those
    for segmentation if it is to be `pixelwise`.

    Raises ``MisuseError`` if there is none of that name or it can't take such images, or those of
    `other_sizes_px` that it will meet in training.
    """
    _check_name(name, pixelwise)
    torch.manual_seed(seed)
    side_px, kind = image_size_px, Segmenter if pixelwise else Classifier
    try:
        network = _network(name, classes=classes, image_size_px=image_size_px, pixelwise=pixelwise)
        if blurpool and not add_blur(network):
            raise MisuseError(
                f"--blurpool: {name} has no convolution with a stride to blur before."
            )
        model = kind(network, mean=mean, std=std).to(memory_format=torch.channels_last)
        for side_px in (image_size_px, *other_sizes_px):
            _try_on_an_image(model, side_px)
    # torchvision's models assert and raise as they like on sizes that they weren't made for.
    except (RuntimeError, ValueError, AssertionError) as error:
        raise MisuseError(
            f"{name} can't take images of {side_px} x {side_px} px ({error}): "
            f"give another --image-size, --progressive-resize or --model."
        ) from error
    return model


def check_single_images(model: Classifier, sizes_px: Sequence[int]) -> None:
    """Raises ``MisuseError`` if `model` can't be trained on one image of one of `sizes_px` at a
    time, since a batch norm would see a single value of each channel."""
    shapes_alone = copy.deepcopy(model).to("meta").train()
    for side_px in sizes_px:
        image = torch.zeros(1, 3, side_px, side_px, dtype=torch.uint8, device="meta")
        try:
            shapes_alone(image)
        except ValueError as error:
            raise MisuseError(
                f"This model can't learn from one image of {side_px} x {side_px} px at a time "
                f"({error}): give each rank 2 or more by --global-batch-size and "
                f"--accumulate-steps or, for most models, larger ones by --image-size."
            ) from error


def _check_name(name: str, pixelwise: bool) -> None:
    classifiers = [*torchvision.models.list_models(module=torchvision.models), *SMALL_RESNETS]
    segmenters = torchvision.models.list_models(module=torchvision.models.segmentation)
    if pixelwise and name in classifiers:
        raise MisuseError(
            f"--model {name} gives a class for an image, these shards hold masks: take one of "
            f"{', '.join(segmenters)}."
        )
    if not pixelwise and name in segmenters:
        raise MisuseError(
            f"--model {name} gives a class for each pixel, these shards hold no masks: take a "
            f"classifier, such as resnet50."
        )
    names = segmenters if pixelwise else classifiers
    if name not in names:
        what = "model of segmentation" if pixelwise else "classifier"
        close = difflib.get_close_matches(name, names) or [names[0] if pixelwise else "resnet50"]
        raise MisuseError(f"There is no {what} {name!r}. Close to it: {', '.join(close)}.")


def _network(name: str, *, classes: int, image_size_px: int, pixelwise: bool) -> nn.Module:
    if name in SMALL_RESNETS:
        return cifar_resnet(name, classes=classes)
    arguments = _special_arguments(name, image_size_px, pixelwise)
    network: nn.Module = torchvision.models.get_model(
        name, weights=None, num_classes=classes, **arguments
    )
    for module in network.modules() if pixelwise else ():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = BATCH_NORM_MOMENTUM
    return network


def _special_arguments(name: str, image_size_px: int, pixelwise: bool) -> dict[str, Any]:
    if pixelwise:
        # Its backbone would be fetched from the internet, and LR-ASPP has no auxiliary head.
        return {"weights_backbone": None, "aux_loss": not name.startswith("lraspp")}
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

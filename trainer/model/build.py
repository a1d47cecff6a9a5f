"""Models of uint8 images: torchvision's for classification and segmentation, and small ResNets."""

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

# torch's default. MobileNetV3's 0.01 keeps the initial statistics for thousands of steps; with the
# hundreds of steps of a run on masks, evaluations would predict one class everywhere.
BATCH_NORM_MOMENTUM = 0.1


class Classifier(nn.Module):
    """Normalization of uint8 images, followed by `network`.

    Args:
        mean, std: per RGB channel, in fractions of 255; `std` is raised to at least 1 / 255.
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, network: nn.Module, *, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        for name in ("scale", "shift"):
            self.register_buffer(name, torch.empty(3, 1, 1), persistent=False)
        self.normalize_by(mean, std)

    def normalize_by(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Change mean and deviation of the normalization."""
        # A constant channel has a deviation of 0.
        divisor = torch.tensor(std).clamp(min=1 / 255).view(3, 1, 1)
        self.scale.copy_(1 / (255 * divisor))
        self.shift.copy_(-torch.tensor(mean).view(3, 1, 1) / divisor)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, 3, H, W) -> logits, floating point, (B, classes)."""
        logits: torch.Tensor = self.network(images * self.scale + self.shift)
        return logits


class Segmenter(Classifier):
    """A network that returns a dict of "out" and, with an auxiliary head, "aux"."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, 3, H, W) -> logits (B, classes, H, W); in training with an auxiliary head
        (B, 2, classes, H, W), the auxiliary logits second."""
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
    """Build the model `name` on the CPU in channels-last memory, initialized by `seed`.

    Args:
        other_sizes_px: further image sizes of training, which the model must accept.
        blurpool: see ``add_blur``.
        pixelwise: whether to build a segmentation model rather than a classifier.

    Raises ``MisuseError`` for an unknown name, or if the model rejects images of such sizes.
    """
    _check_name(name, pixelwise)
    torch.manual_seed(seed)
    side_px, kind = image_size_px, Segmenter if pixelwise else Classifier
    try:
        network = build_network(
            name, classes=classes, image_size_px=image_size_px, pixelwise=pixelwise
        )
        if blurpool and not add_blur(network):
            raise MisuseError(f"--blurpool: {name} has no strided convolution: leave it out.")
        model = kind(network, mean=mean, std=std).to(memory_format=torch.channels_last)
        for side_px in (image_size_px, *other_sizes_px):
            _try_on_an_image(model, side_px)
    # What torchvision's models raise for unsupported sizes.
    except (RuntimeError, ValueError, AssertionError) as error:
        raise MisuseError(
            f"--model {name} does not accept images of {side_px} x {side_px} px ({error}): "
            f"change --image-size, --progressive-resize or --model."
        ) from error
    return model


def check_single_images(model: Classifier, sizes_px: Sequence[int]) -> None:
    """Raise ``MisuseError`` if `model` cannot train on one image of one of `sizes_px` at a time,
    because a batch norm would get a single value per channel."""
    meta_model = copy.deepcopy(model).to("meta").train()
    for side_px in sizes_px:
        image = torch.zeros(1, 3, side_px, side_px, dtype=torch.uint8, device="meta")
        try:
            meta_model(image)
        except ValueError as error:
            raise MisuseError(
                f"This model cannot train on one image of {side_px} x {side_px} px at a time "
                f"({error}): give each rank 2 or more images by --global-batch-size and "
                f"--accumulate-steps or, for most models, raise --image-size."
            ) from error


def _check_name(name: str, pixelwise: bool) -> None:
    classifiers = [*torchvision.models.list_models(module=torchvision.models), *SMALL_RESNETS]
    segmenters = torchvision.models.list_models(module=torchvision.models.segmentation)
    if pixelwise:
        kind, names, other_names = "segmentation", segmenters, classifiers
        reason, examples = "these shards hold masks", segmenters
    else:
        kind, names, other_names = "classification", classifiers, segmenters
        reason, examples = "these shards hold no masks", ["resnet50"]
    if name in other_names:
        raise MisuseError(
            f"--model {name} is not a {kind} model, but {reason}: use one, such as "
            f"{', '.join(examples)}."
        )
    if name not in names:
        similar = difflib.get_close_matches(name, names) or examples[:1]
        raise MisuseError(f"--model {name}: no such {kind} model. Similar: {', '.join(similar)}.")


def build_network(name: str, *, classes: int, image_size_px: int, pixelwise: bool) -> nn.Module:
    """Build the network `name` as it is built in ``build_model``, without checks."""
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
        # Download no weights of the backbone. LR-ASPP has no auxiliary head.
        return {"weights_backbone": None, "aux_loss": not name.startswith("lraspp")}
    if name in ("googlenet", "inception_v3"):
        # Auxiliary heads would turn the output into a tuple.
        return {"aux_logits": False, "init_weights": True}
    if name.startswith(("resnet", "resnext", "wide_resnet")):
        # Initialize each block as the identity (Goyal et al. 2017, section 5.1).
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

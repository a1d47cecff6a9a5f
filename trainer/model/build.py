"""Models of uint8 images: the network that --model names, behind its normalization."""

from collections.abc import Sequence
from typing import Any

import torch
from click import ClickException
from torch import nn

from pipeline.errors import MisuseError
from trainer.model.blurpool import add_blur
from trainer.model.sources.source import ModelSource, NetworkSpec
from trainer.out_of_memory import is_out_of_memory


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

    def output_shape(self, outputs: int, images: torch.Tensor) -> tuple[int, ...]:
        """The shape of what ``forward`` returns for `images`."""
        return (len(images), outputs)


class Segmenter(Classifier):
    """A network that returns logits, or a dict of them as "out" and, with an auxiliary head,
    "aux"."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, 3, H, W) -> logits (B, classes, H, W); in training with an auxiliary head
        (B, 2, classes, H, W), the auxiliary logits second."""
        heads: Any = self.network(images * self.scale + self.shift)
        if not isinstance(heads, dict) or "out" not in heads:
            return heads  # type: ignore[return-value]
        logits: torch.Tensor = heads["out"]
        with_auxiliary = self.training and "aux" in heads
        return torch.stack([logits, heads["aux"]], dim=1) if with_auxiliary else logits

    def output_shape(self, outputs: int, images: torch.Tensor) -> tuple[int, ...]:
        return (len(images), outputs, *images.shape[2:])


def build_model(
    source: ModelSource,
    spec: NetworkSpec,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    seed: int,
    other_sizes_px: Sequence[int] = (),
    blurpool: bool = False,
) -> Classifier:
    """Build the model of `source` on the CPU in channels-last memory, initialized by `seed`.

    Args:
        other_sizes_px: further image sizes of training, which the model must accept.
        blurpool: see ``add_blur``.

    Raises ``MisuseError`` if there is no such model, if it rejects images of such sizes, or if it
    returns something else than logits.
    """
    torch.manual_seed(seed)
    side_px, kind = spec.image_size_px, Segmenter if spec.pixelwise else Classifier
    try:
        network = source.build(spec)
        if blurpool and not add_blur(network):
            raise MisuseError(
                f"--blurpool: {source.name} has no strided convolution: leave it out."
            )
        model = kind(network, mean=mean, std=std).to(memory_format=torch.channels_last)
        for side_px in (spec.image_size_px, *other_sizes_px):
            _try_on_an_image(model, source.name, spec.classes, side_px)
    except ClickException:
        raise
    # Networks raise any kind of error for sizes that they do not support.
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise MisuseError(
            f"--model {source.name} does not accept images of {side_px} x {side_px} px "
            f"({str(error) or type(error).__name__}): change --image-size, --progressive-resize or "
            f"--model."
        ) from error
    return model


@torch.no_grad()
def _try_on_an_image(model: Classifier, name: str, outputs: int, image_size_px: int) -> None:
    model.eval()
    image = torch.zeros(1, 3, image_size_px, image_size_px, dtype=torch.uint8)
    require_logits(name, model(image), model.output_shape(outputs, image))
    model.train()


def require_logits(name: str, logits: object, shape: tuple[int, ...]) -> None:
    """Raise ``MisuseError`` unless `logits`, what the model `name` returns, have this shape."""
    if isinstance(logits, torch.Tensor) and logits.shape == shape:
        return
    given = type(logits).__name__
    if isinstance(logits, torch.Tensor):
        given = f"tensor of {tuple(logits.shape)}"
    raise MisuseError(
        f"--model {name} returns a {given} for {shape[0]} image(s), where a tensor of {shape} is "
        f"needed: return only the outputs before softmax, one for each class or target."
    )

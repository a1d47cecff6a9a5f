"""BlurPool: convolutions that skip pixels see a blurred image, so that a shift by one pixel changes
little in what they give (Zhang 2019, arXiv:1904.11486)."""

import torch
from torch import nn
from torch.nn.functional import conv2d

# Fewer channels are the image itself, which is read unblurred (as in FFCV's ImageNet recipe,
# https://github.com/libffcv/ffcv-imagenet).
FEWEST_CHANNELS = 16


class Blur(nn.Module):
    """Each channel by the 3 x 3 binomial filter; sizes stay. It adds nothing to the state dict."""

    kernel: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        row = torch.tensor([1.0, 2.0, 1.0]) / 4
        kernel = row.outer(row).repeat(channels, 1, 1, 1)
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, channels, H, W) -> the same."""
        return conv2d(images, self.kernel.to(images.dtype), padding=1, groups=len(self.kernel))


def add_blur(network: nn.Module) -> int:
    """Blur before each convolution of `network` with a stride above 1, but for that which reads the
    image; returns how many there are."""
    strided = [
        module
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
        and max(module.stride) > 1
        and module.in_channels >= FEWEST_CHANNELS
    ]
    for module in strided:
        module.add_module("blur", Blur(module.in_channels))
        module.register_forward_pre_hook(_blurred)
    return len(strided)


def _blurred(module: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    return (module.get_submodule("blur")(inputs[0]),)

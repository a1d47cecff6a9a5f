"""BlurPool: a low-pass filter before strided convolutions, which makes their outputs robust to
shifts by a pixel (Zhang 2019, arXiv:1904.11486)."""

import torch
from torch import nn
from torch.nn.functional import conv2d

# A convolution with fewer input channels reads the image and gets no filter (as in FFCV's ImageNet
# recipe, https://github.com/libffcv/ffcv-imagenet).
MIN_CHANNELS = 16


class Blur(nn.Module):
    """3 x 3 binomial filter of each channel; keeps the shape and adds nothing to the state dict."""

    kernel: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        row = torch.tensor([1.0, 2.0, 1.0]) / 4
        kernel = row.outer(row).repeat(channels, 1, 1, 1)
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, channels, H, W) -> same shape."""
        return conv2d(images, self.kernel.to(images.dtype), padding=1, groups=len(self.kernel))


def add_blur(network: nn.Module) -> int:
    """Filter the input of each convolution of `network` with a stride above 1, except the one that
    reads the image; returns the number of filters."""
    strided = [
        module
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
        and max(module.stride) > 1
        and module.in_channels >= MIN_CHANNELS
    ]
    for module in strided:
        module.add_module("blur", Blur(module.in_channels))
        module.register_forward_pre_hook(_blur_input)
    return len(strided)


def _blur_input(module: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    return (module.get_submodule("blur")(inputs[0]),)

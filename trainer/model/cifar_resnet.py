"""ResNets for images of 32 px, with a stem that keeps the size, and few channels (He et al. 2016,
arXiv:1512.03385, section 4.2). torchvision's, made for 224 px, reduce 32 px to a single pixel."""

from collections import OrderedDict

from torch import nn
from torchvision.models.resnet import BasicBlock

CHANNELS = (16, 32, 64)
# Name -> blocks n of each of the three stages, 6 n + 2 layers in all; the paper has 20 or more.
SMALL_RESNETS = {f"resnet{6 * blocks + 2}": blocks for blocks in (1, 2, 3, 5, 7, 9, 18)}


def cifar_resnet(name: str, *, classes: int) -> nn.Sequential:
    """The network `name` of SMALL_RESNETS: float (B, 3, H, W) -> logits (B, classes).

    Shortcuts between stages are 1 x 1 convolutions, the paper's option B. Each block is
    initialized as the identity, as for torchvision's ResNets in ``build_model``.
    """
    stem = nn.Conv2d(3, CHANNELS[0], 3, padding=1, bias=False)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=stem, bn1=nn.BatchNorm2d(CHANNELS[0]), relu=nn.ReLU(inplace=True)
    )
    in_channels = CHANNELS[0]
    for stage, channels in enumerate(CHANNELS, start=1):
        blocks = [_block(in_channels, channels)]
        blocks += [_block(channels, channels) for _ in range(1, SMALL_RESNETS[name])]
        layers[f"layer{stage}"] = nn.Sequential(*blocks)
        in_channels = channels
    layers["avgpool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(in_channels, classes)
    network = nn.Sequential(layers)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)
    return network


def _block(in_channels: int, channels: int) -> BasicBlock:
    if in_channels == channels:
        return BasicBlock(channels, channels)
    shortcut = nn.Conv2d(in_channels, channels, 1, stride=2, bias=False)
    return BasicBlock(
        in_channels, channels, 2, downsample=nn.Sequential(shortcut, nn.BatchNorm2d(channels))
    )

"""ResNets for images of 32 px: the stem keeps the size, and channels are few (He et al. 2016,
arXiv:1512.03385, section 4.2). torchvision's are made for 224 px and shrink 32 px to one pixel."""

from collections import OrderedDict

from torch import nn
from torchvision.models.resnet import BasicBlock

CHANNELS = (16, 32, 64)
# Name -> blocks in each of the three stages: n make 6 n + 2 layers. The paper begins at 20.
SMALL_RESNETS = {f"resnet{6 * blocks + 2}": blocks for blocks in (1, 2, 3, 5, 7, 9, 18)}


def cifar_resnet(name: str, *, classes: int) -> nn.Sequential:
    """The network `name` of SMALL_RESNETS: float (B, 3, H, W) -> logits (B, classes).

    Where channels grow the shortcut is a 1 x 1 convolution, the paper's option B; each block begins
    as the identity, as those of torchvision's do here.
    """
    stem = nn.Conv2d(3, CHANNELS[0], 3, padding=1, bias=False)
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=stem, bn1=nn.BatchNorm2d(CHANNELS[0]), relu=nn.ReLU(inplace=True)
    )
    before = CHANNELS[0]
    for stage, channels in enumerate(CHANNELS, start=1):
        blocks = [_block(before, channels)]
        blocks += [_block(channels, channels) for _ in range(1, SMALL_RESNETS[name])]
        layers[f"layer{stage}"] = nn.Sequential(*blocks)
        before = channels
    layers["avgpool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(before, classes)
    network = nn.Sequential(layers)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)
    return network


def _block(before: int, channels: int) -> BasicBlock:
    if before == channels:
        return BasicBlock(channels, channels)
    shortcut = nn.Conv2d(before, channels, 1, stride=2, bias=False)
    return BasicBlock(
        before, channels, 2, downsample=nn.Sequential(shortcut, nn.BatchNorm2d(channels))
    )

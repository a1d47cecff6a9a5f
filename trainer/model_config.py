"""Options of the model, and of training what is in it already."""

from dataclasses import dataclass
from typing import Literal

from pipeline.options import NOT_NEGATIVE, POSITIVE, Bounds, Options, setting


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Options):
    """Which model, with which weights, and at which rates its layers are trained."""

    model: str = setting(
        "resnet50",
        "A torchvision classification model, or a ResNet for images of 32 px: resnet8, 14, 20, 32, "
        "44, 56 or 110. For masks a torchvision segmentation model, such as fcn_resnet50. "
        "timm/NAME: a classification model of timm. FILE.py:FUNCTION: a model of your own; the "
        "function takes the number of classes or targets and returns a torch.nn.Module.",
        section="Model",
        metavar="NAME|timm/NAME|FILE.py:FUNCTION",
    )
    pretrained: str | None = setting(
        None,
        "Initialize the weights. imagenet: torchvision's or timm's default ones for the model (for "
        "masks those of COCO), downloaded once; else a URL or file of a state dict or of a "
        "checkpoint of this trainer. The last layer is initialized randomly if the number of "
        "classes differs.",
        metavar="imagenet|URL|FILE",
    )
    normalization: Literal["weights", "shards"] = setting(
        "weights",
        "Mean and standard deviation that normalize the input. weights: those that the "
        "--pretrained weights were trained with, if known, else the shards'; shards: those of the "
        "training split.",
    )
    freeze_backbone_epochs: float = setting(
        0.0,
        "Train only the last layer in this many first epochs. The other weights and the statistics "
        "of batch norms stay as they are.",
        NOT_NEGATIVE,
    )
    backbone_lr_factor: float = setting(
        1.0, "Multiply the learning rate by this factor in all layers but the last.", POSITIVE
    )
    layer_decay: float | None = setting(
        None,
        "Multiply the learning rate by this factor from each layer to the one before it, to change "
        "the first layers of pretrained weights least.  [default: the same rate in all layers]",
        Bounds(above=0, high=1),
    )
    drop_path: float | None = setting(
        None,
        "Highest probability of dropping the path of a residual block in training (stochastic "
        "depth); it rises from block to block.  [default: the model's own]",
        Bounds(low=0, below=1),
    )
    blurpool: bool = setting(False, "Low-pass filter the input of strided convolutions (BlurPool).")

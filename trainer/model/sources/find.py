"""The model that --model names."""

from trainer.model.cifar_resnet import SMALL_RESNETS
from trainer.model.sources.model_code import is_own_file
from trainer.model.sources.own_file import read_own_model
from trainer.model.sources.small_resnets import SmallResnet
from trainer.model.sources.source import ModelSource
from trainer.model.sources.timm_models import PREFIX, TimmModel
from trainer.model.sources.torchvision_models import TorchvisionModel


def find_model(name: str) -> ModelSource:
    """The model `name`: "timm/NAME", "FILE.py:FUNCTION", a small ResNet, or one of torchvision,
    which need not exist before it is built.

    Raises ``MisuseError`` for a file that can't be read, or timm if it is not installed.
    """
    if is_own_file(name):
        return read_own_model(name)
    if name.startswith(PREFIX):
        return TimmModel(name=name)
    if name in SMALL_RESNETS:
        return SmallResnet(name=name)
    return TorchvisionModel(name=name)

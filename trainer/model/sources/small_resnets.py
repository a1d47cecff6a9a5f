"""The trainer's own ResNets for images of 32 px."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from pipeline.errors import MisuseError
from trainer.model.cifar_resnet import cifar_resnet
from trainer.model.layers import layers_in_order
from trainer.model.sources.source import NetworkSpec, Unpublished
from trainer.model.sources.torchvision_models import check_name


@dataclass(frozen=True, kw_only=True)
class SmallResnet(Unpublished):
    """One of ``SMALL_RESNETS``."""

    name: str
    is_known: bool = True

    @property
    def identity(self) -> str:
        return self.name

    def build(self, spec: NetworkSpec) -> nn.Module:
        check_name(self.name, pixelwise=spec.pixelwise)
        if spec.drop_path is not None:
            raise MisuseError(f"--drop-path: {self.name} has no paths to drop: leave it out.")
        return cifar_resnet(self.name, classes=spec.classes)

    def layers(self, network: nn.Module) -> Mapping[str, int] | None:
        return layers_in_order(network)

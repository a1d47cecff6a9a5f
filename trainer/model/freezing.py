"""Training of the last layer only, at the beginning of a run (``--freeze-backbone-epochs``)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from torch import nn

from trainer.model.build import Classifier


@dataclass(frozen=True, kw_only=True)
class BackboneFreeze:
    """Trains only the head in the first steps of a run.

    Attributes:
        steps: the backbone is frozen in the steps below this number.
        backbone: the parameters before the head.
        norms: the batch norms, which use and keep their statistics while the backbone is frozen.
    """

    steps: int
    backbone: Sequence[nn.Parameter]
    norms: Sequence[nn.Module]

    def apply(self, step: int) -> bool:
        """Freeze or unfreeze the backbone for `step`; whether it is frozen."""
        frozen = step < self.steps
        for parameter in self.backbone:
            parameter.requires_grad_(not frozen)
        for norm in self.norms:
            norm.train(not frozen)
        return frozen


def freeze_backbone(model: Classifier, head: Collection[str], *, steps: int) -> BackboneFreeze:
    """Freeze all parameters of the network of `model` but those named `head`, see
    ``BackboneFreeze``."""
    return BackboneFreeze(
        steps=steps,
        # A model of one's own may have frozen parameters for good.
        backbone=[
            parameter
            for name, parameter in model.network.named_parameters()
            if name not in head and parameter.requires_grad
        ],
        norms=[
            module
            for module in model.modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm)
        ],
    )

"""Training of the last layer only, at the beginning of a run (``--freeze-backbone-epochs``)."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from trainer.model.build import Classifier


@dataclass(frozen=True, kw_only=True)
class BackboneFreeze:
    """Trains only the head in the first steps of a run.

    Attributes:
        steps: the backbone is frozen in the steps below this number.
        backbone, head: the parameters.
        norms: the batch norms, which use and keep their statistics while the backbone is frozen.
        average: averages tensors over the ranks in place. The frozen steps go around DDP, which
            expects gradients of all parameters.
    """

    steps: int
    backbone: Sequence[nn.Parameter]
    head: Sequence[nn.Parameter]
    norms: Sequence[nn.Module]
    average: Callable[[Iterable[torch.Tensor]], None]

    def apply(self, step: int) -> bool:
        """Freeze or unfreeze the backbone for `step`; whether it is frozen."""
        frozen = step < self.steps
        for parameter in self.backbone:
            parameter.requires_grad_(not frozen)
        for norm in self.norms:
            norm.train(not frozen)
        return frozen

    def average_gradients(self) -> None:
        """Average the gradients of the head over the ranks."""
        self.average(weight.grad for weight in self.head if weight.grad is not None)


def freeze_backbone(
    model: Classifier,
    head: Collection[str],
    *,
    steps: int,
    average: Callable[[Iterable[torch.Tensor]], None],
) -> BackboneFreeze:
    """Freeze all parameters of the network of `model` but those named `head`, see
    ``BackboneFreeze``."""
    named = list(model.network.named_parameters())
    return BackboneFreeze(
        steps=steps,
        # A model of one's own may have frozen parameters for good.
        backbone=[
            parameter for name, parameter in named if name not in head and parameter.requires_grad
        ],
        head=[parameter for name, parameter in named if name in head],
        norms=[
            module
            for module in model.modules()
            if isinstance(module, nn.modules.batchnorm._BatchNorm)
        ],
        average=average,
    )

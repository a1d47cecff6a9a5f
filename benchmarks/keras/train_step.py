"""Keras's training step in place of the trainer's."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.keras.backends import Backend, Train
from benchmarks.keras.network import build_network, torch_weights
from trainer.model.build import Classifier
from trainer.train_step import TrainStep
from trainer.training_run import TrainingRun

# The metric of the loss; what Keras calls loss includes the weight decay.
WITHOUT_DECAY = "without_decay"


class KerasModel(Classifier):
    """A network of Keras as the trainer evaluates and saves it.

    Its `network` is torchvision's with the current weights of Keras: torch can load a checkpoint of
    the run.
    """

    def __init__(
        self,
        classifier: Classifier,
        network: keras.Model,
        backend: Backend,
        predict: Callable[[Any], NDArray[np.float32]],
    ) -> None:
        nn.Module.__init__(self)
        # In a list: on the torch backend the network is a torch module and would be registered.
        self._keras, self._backend, self._predict = [network], backend, predict
        self._torch = classifier.network

    @property
    def network(self) -> nn.Module:  # type: ignore[override]
        state = self._torch.state_dict()
        self._torch.load_state_dict(state | torch_weights(self._keras[0]))
        return self._torch

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, 3, H, W) -> logits, float32 (B, classes), without a gradient."""
        return torch.from_numpy(self._predict(self._backend.images(images)))


@dataclass(frozen=True, kw_only=True)
class KerasStep(TrainStep):
    """Each call is a step of `keras_network`; torch's `optimizer` is not used."""

    keras_network: keras.Model
    backend: Backend
    train: Train

    def __call__(
        self, images: torch.Tensor, targets: torch.Tensor, learning_rate: float, *, step: int = 0
    ) -> torch.Tensor:
        """Return the mean loss before the step, without weight decay."""
        self.keras_network.optimizer.learning_rate = learning_rate
        metrics = self.train(self.backend.images(images), self.backend.labels(targets))
        return torch.tensor(float(metrics[WITHOUT_DECAY]))


def with_keras_steps(run: TrainingRun, backend: Backend) -> TrainingRun:
    """`run` with steps of Keras that start from its weights: seeded, pretrained or resumed."""
    recipe = run.settings.recipe
    if run.dtype is torch.bfloat16:
        keras.config.set_dtype_policy("mixed_bfloat16")
    with backend.scope():
        network = build_network(
            run.model, image_size_px=run.data.image_size_px, weight_decay=recipe.weight_decay
        )
        network.compile(
            optimizer=keras.optimizers.SGD(
                recipe.peak_learning_rate,
                momentum=recipe.momentum,
                nesterov=True,
                global_clipnorm=recipe.grad_clip_norm,
            ),
            loss=(loss := _loss(run.data.classes, recipe.label_smoothing)),
            metrics=[keras.metrics.MeanMetricWrapper(loss, name=WITHOUT_DECAY)],
            # XLA takes four times as long on two cores (ResNet-18 at 32 px).
            jit_compile=False,
        )
    functions = backend.functions(network)
    model = KerasModel(run.model, network, backend, functions.predict)
    train_step = KerasStep(
        model=model,
        optimizer=run.optimizer,
        dtype=run.dtype,
        keras_network=network,
        backend=backend,
        train=functions.train,
    )
    return replace(run, model=model, train_step=train_step)


def _loss(classes: int, label_smoothing: float) -> Any:
    """``torch.nn.functional.cross_entropy`` of int64 labels (B,) and logits (B, classes)."""

    def cross_entropy(labels: Any, logits: Any) -> Any:
        targets = keras.ops.one_hot(keras.ops.reshape(labels, (-1,)), classes)
        return keras.losses.categorical_crossentropy(
            targets, logits, from_logits=True, label_smoothing=label_smoothing
        )

    return cross_entropy

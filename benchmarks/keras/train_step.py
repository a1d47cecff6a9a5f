"""Keras's step in the place of the trainer's."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.keras.backends import Exchange, Train
from benchmarks.keras.network import build_network, torch_weights
from trainer.model.build import Classifier
from trainer.setup import TrainingRun
from trainer.train_step import TrainStep

# The metric that is the loss alone; Keras adds the decay of the weights to what it calls loss.
WITHOUT_DECAY = "without_decay"


class KerasModel(Classifier):
    """A network of Keras's as the trainer evaluates and saves it.

    Its `network` is torchvision's own, with the weights that Keras has come to: a checkpoint of the
    run is one that torch can load.
    """

    def __init__(
        self,
        classifier: Classifier,
        network: keras.Model,
        exchange: Exchange,
        predict: Callable[[Any], NDArray[np.float32]],
    ) -> None:
        nn.Module.__init__(self)
        # A list, or it would count as a module of torch's on Keras's torch backend.
        self._keras, self._exchange, self._predict = [network], exchange, predict
        self._torch = classifier.network

    @property
    def network(self) -> nn.Module:  # type: ignore[override]
        state = self._torch.state_dict()
        self._torch.load_state_dict(state | torch_weights(self._keras[0]))
        return self._torch

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, 3, H, W) -> logits, float32 (B, classes), without a gradient."""
        return torch.from_numpy(self._predict(self._exchange.images(images)))


@dataclass(frozen=True, kw_only=True)
class KerasUpdate(TrainStep):
    """One call is one step of `keras_network`; `optimizer`, torch's, stands still."""

    keras_network: keras.Model
    exchange: Exchange
    train: Train

    def __call__(
        self, images: torch.Tensor, targets: torch.Tensor, learning_rate: float, *, step: int = 0
    ) -> torch.Tensor:
        """The mean loss before the step, without the decay that Keras adds to it."""
        self.keras_network.optimizer.learning_rate = learning_rate
        found = self.train(self.exchange.images(images), self.exchange.labels(targets))
        return torch.tensor(float(found[WITHOUT_DECAY]))


def with_keras(job: TrainingRun, exchange: Exchange) -> TrainingRun:
    """`job`, whose weights, seeded, pretrained or from a checkpoint, Keras takes over."""
    recipe = job.settings.recipe
    if job.dtype is torch.bfloat16:
        keras.config.set_dtype_policy("mixed_bfloat16")
    with exchange.scope():
        network = build_network(
            job.model, image_size_px=job.data.image_size_px, weight_decay=recipe.weight_decay
        )
        network.compile(
            optimizer=keras.optimizers.SGD(
                recipe.peak_learning_rate,
                momentum=recipe.momentum,
                nesterov=True,
                global_clipnorm=recipe.grad_clip_norm,
            ),
            loss=(loss := _loss(job.data.classes, recipe.label_smoothing)),
            metrics=[keras.metrics.MeanMetricWrapper(loss, name=WITHOUT_DECAY)],
            # XLA takes four times as long on two cores (ResNet-18 at 32 px).
            jit_compile=False,
        )
    functions = exchange.functions(network)
    model = KerasModel(job.model, network, exchange, functions.predict)
    update = KerasUpdate(
        model=model,
        optimizer=job.optimizer,
        dtype=job.dtype,
        keras_network=network,
        exchange=exchange,
        train=functions.train,
    )
    return replace(job, model=model, train_step=update)


def _loss(classes: int, label_smoothing: float) -> Any:
    """torch's ``cross_entropy`` of int64 labels (B,) and logits (B, classes)."""

    def cross_entropy(labels: Any, logits: Any) -> Any:
        wanted = keras.ops.one_hot(keras.ops.reshape(labels, (-1,)), classes)
        return keras.losses.categorical_crossentropy(
            wanted, logits, from_logits=True, label_smoothing=label_smoothing
        )

    return cross_entropy

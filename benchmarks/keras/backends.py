"""Keras's backends: tensors from torch, without a copy where possible, and compiled steps."""

import json
import os
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.distributed.collectives import World

# TensorFlow crashes on a tensor whose address is not a multiple of this.
ALIGNMENT_BYTES = 64


# (images, labels) -> value of Keras's metrics of the step, by name.
Train = Callable[[Any, Any], Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Functions:
    """`train` takes a step; `predict`: images -> logits, float32 (B, classes)."""

    train: Train
    predict: Callable[[Any], NDArray[np.float32]]


class Backend:
    """Keras on torch, which takes the loader's tensors, uint8 (B, 3, H, W), unchanged."""

    def images(self, images: torch.Tensor) -> Any:
        """uint8 (B, 3, H, W) in channels-last memory -> the backend's layout."""
        return images

    def labels(self, labels: torch.Tensor) -> Any:
        return labels

    def scope(self) -> AbstractContextManager[Any]:
        """The context in which the network must be built."""
        return nullcontext()

    def functions(self, network: Any) -> Functions:
        return Functions(
            train=lambda images, labels: network.train_on_batch(images, labels, return_dict=True),
            predict=network.predict_on_batch,
        )


class TensorFlowBackend(Backend):
    """Keras on TensorFlow: images come through dlpack as (B, H, W, 3), labels are copied. Several
    ranks are workers of ``tf.distribute``, which reduces their gradients."""

    def __init__(self, world: World) -> None:
        if world.world_size > 1:
            _set_tf_config(world)
        # torch loads Triton on demand; loaded after TensorFlow it crashes the process (torch 2.14,
        # TensorFlow 2.21).
        with suppress(ImportError):
            import_module("triton")
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(world.threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(world.threads)
        self._tensorflow = tensorflow
        self._strategy: Any = None
        if world.world_size > 1:
            self._strategy = tensorflow.distribute.MultiWorkerMirroredStrategy()
            # The cluster replaced the handler of SIGTERM, by which a run stops and saves.
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))

    def images(self, images: torch.Tensor) -> Any:
        dense = images.permute(0, 2, 3, 1)
        if dense.data_ptr() % ALIGNMENT_BYTES or not dense.is_contiguous():
            return self._tensorflow.convert_to_tensor(dense.numpy())
        return self._tensorflow.experimental.dlpack.from_dlpack(dense.__dlpack__())

    def labels(self, labels: torch.Tensor) -> Any:
        return self._tensorflow.convert_to_tensor(labels.numpy())

    def scope(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._strategy is None else self._strategy.scope()

    def functions(self, network: Any) -> Functions:
        """On several ranks Keras 3.15 can't average scalars over workers and predicts for all of
        them at once: here each worker calls Keras's ``train_step`` and predicts for itself."""
        if self._strategy is None:
            return super().functions(network)

        def step(images: Any, labels: Any) -> Any:
            network.reset_metrics()
            return network.train_step((images, labels))

        def on_replica(function: Any) -> Any:
            return self._tensorflow.function(
                lambda *arguments: self._strategy.run(function, arguments), reduce_retracing=True
            )

        predict = on_replica(lambda images: network(images, training=False))
        return Functions(train=on_replica(step), predict=lambda images: predict(images).numpy())


def open_backend(name: str, world: World) -> Backend:
    """Load Keras on the backend "tensorflow" or "torch"; a process can load only one of them."""
    os.environ["KERAS_BACKEND"] = name
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if name == "tensorflow":
        return TensorFlowBackend(world)
    import keras

    keras.config.set_image_data_format("channels_first")
    return Backend()


def _set_tf_config(world: World) -> None:
    """Set TF_CONFIG, the addresses of the workers of ``tf.distribute``."""
    host = socket.gethostname() if world.local_world_size < world.world_size else "localhost"
    with socket.create_server(("", 0)) as free:
        address = f"{host}:{free.getsockname()[1]}"
    os.environ["TF_CONFIG"] = json.dumps(
        {
            "cluster": {"worker": world.all_gather_objects([address])},
            "task": {"type": "worker", "index": world.rank},
        }
    )

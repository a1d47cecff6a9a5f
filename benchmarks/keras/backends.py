"""Tensors between torch and Keras's backend, without a copy where the backend allows it."""

import json
import os
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.distributed.collectives import World

# TensorFlow ends the process at a tensor that doesn't begin at a multiple of this.
ALIGNMENT_BYTES = 64


class Exchange(Protocol):
    """What differs between Keras's backends."""

    def images(self, images: torch.Tensor) -> Any:
        """uint8 (B, 3, H, W) in channels-last memory -> the same in the backend's layout."""

    def labels(self, labels: torch.Tensor) -> Any: ...

    def scope(self) -> AbstractContextManager[Any]:
        """In which the network is built."""

    def functions(self, network: Any) -> "Functions":
        """What is done with it."""


# (images, labels) -> what Keras's metrics say of the step, by name.
Train = Callable[[Any, Any], Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Functions:
    """`predict`: images -> logits, float32 (B, classes)."""

    train: Train
    predict: Callable[[Any], NDArray[np.float32]]


def functions_alone(network: Any) -> Functions:
    """Keras's own, of one process."""
    return Functions(
        train=lambda images, labels: network.train_on_batch(images, labels, return_dict=True),
        predict=network.predict_on_batch,
    )


class TorchExchange:
    """Keras on torch takes what the loader gives."""

    def images(self, images: torch.Tensor) -> torch.Tensor:
        return images

    def labels(self, labels: torch.Tensor) -> torch.Tensor:
        return labels

    def scope(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def functions(self, network: Any) -> Functions:
        return functions_alone(network)


class TensorFlowExchange:
    """Images go over by dlpack, (B, H, W, 3); labels are copied. Of several ranks each is a worker
    of ``tf.distribute``, which adds up their gradients."""

    def __init__(self, world: World) -> None:
        if world.world_size > 1:
            _announce(world)
        # torch loads Triton when it needs it; loaded after TensorFlow it ends the process (torch
        # 2.14, TensorFlow 2.21).
        with suppress(ImportError):
            import_module("triton")
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(world.threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(world.threads)
        self._tensorflow = tensorflow
        self._strategy: Any = None
        if world.world_size > 1:
            self._strategy = tensorflow.distribute.MultiWorkerMirroredStrategy()
            # The cluster hears SIGTERM in place of the run, which would not stop and save.
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
        """Of several ranks Keras 3.15 can't make the mean of scalars over workers, and predicts
        for all of them at once: here each has its own, within Keras's ``train_step``."""
        if self._strategy is None:
            return functions_alone(network)

        def step(images: Any, labels: Any) -> Any:
            network.reset_metrics()
            return network.train_step((images, labels))

        def on_replica(function: Any) -> Any:
            return self._tensorflow.function(
                lambda *arguments: self._strategy.run(function, arguments), reduce_retracing=True
            )

        predict = on_replica(lambda images: network(images, training=False))
        return Functions(train=on_replica(step), predict=lambda images: predict(images).numpy())


def open_exchange(backend: str, world: World) -> Exchange:
    """Load Keras on `backend`, "tensorflow" or "torch"; a process can have one of them alone."""
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if backend == "tensorflow":
        return TensorFlowExchange(world)
    import keras

    keras.config.set_image_data_format("channels_first")
    return TorchExchange()


def _announce(world: World) -> None:
    """TF_CONFIG, from which ``tf.distribute`` learns where its workers listen."""
    host = socket.gethostname() if world.local_world_size < world.world_size else "localhost"
    with socket.create_server(("", 0)) as free:
        address = f"{host}:{free.getsockname()[1]}"
    os.environ["TF_CONFIG"] = json.dumps(
        {
            "cluster": {"worker": world.all_gather_objects([address])},
            "task": {"type": "worker", "index": world.rank},
        }
    )

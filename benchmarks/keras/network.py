"""torchvision's ResNets as Keras layers, weight for weight.

``keras.applications.ResNet50`` is a different network: the stride of a block is in its first 1 x 1
convolution (He et al. 2016) instead of the 3 x 3 one (torchvision, "v1.5"), its convolutions have
biases, and its batch norm has another epsilon and momentum.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import torch
from keras import layers
from torch import nn
from torchvision.models import ResNet

from trainer.model.build import Classifier


def build_network(
    classifier: Classifier, *, image_size_px: int, weight_decay: float
) -> keras.Model:
    """Keras network with the weights and the normalization of `classifier`: uint8 images in the
    backend's layout -> float32 logits (B, classes).

    The loss includes half the squared norm of the matrices times `weight_decay`, whose gradient is
    what torch's SGD adds; Keras's own ``weight_decay`` bypasses the momentum.
    """
    torch_network = classifier.network
    assert isinstance(torch_network, ResNet) and torch_network.groups == 1
    side = image_size_px
    first = _channels_axis() == 1
    images = keras.Input((3, side, side) if first else (side, side, 3), dtype="uint8")
    kernel_decay = keras.regularizers.L2(weight_decay / 2) if weight_decay else None
    outputs = _Layers(kernel_decay).network(classifier, torch_network, images)
    network = keras.Model(images, outputs)
    set_weights(network, torch_network.state_dict())
    return network


def set_weights(network: keras.Model, state: Mapping[str, torch.Tensor]) -> None:
    """Set the weights of a network of ``build_network`` from torchvision's state dict."""
    for layer, entries in _weights(network):
        layer.set_weights([_to_keras(state[name].float().cpu().numpy()) for name in entries])


def torch_weights(network: keras.Model) -> dict[str, torch.Tensor]:
    """The weights as entries of torchvision's state dict, without ``num_batches_tracked``."""
    state = {}
    for layer, entries in _weights(network):
        for name, values in zip(entries, layer.get_weights(), strict=True):
            state[name] = torch.from_numpy(_to_torch(values))
    return state


class _Layers:
    """Keras layers equal to torch modules, and named like them with - for ".", which Keras does not
    allow."""

    def __init__(self, kernel_decay: Any) -> None:
        self._kernel_decay = kernel_decay

    def network(self, classifier: Classifier, network: ResNet, images: Any) -> Any:
        std = 1 / classifier.scale.flatten()
        # Keras's Rescaling does not broadcast its offset over channels-first images.
        x = layers.Normalization(
            axis=_channels_axis(),
            mean=(-classifier.shift.flatten() * std).tolist(),
            variance=(std**2).tolist(),
            dtype="float32",
        )(images)
        x = layers.ReLU()(self._conv_bn(x, network.conv1, network.bn1, "conv1", "bn1"))
        # After a ReLU padding with 0 equals torch's padding with -inf.
        x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
        for stage in ("layer1", "layer2", "layer3", "layer4"):
            for number, block in enumerate(getattr(network, stage)):
                x = self._block(x, block, f"{stage}-{number}")
        x = layers.GlobalAveragePooling2D()(x)
        decay, classes = self._kernel_decay, network.fc.out_features
        return layers.Dense(classes, kernel_regularizer=decay, dtype="float32", name="fc")(x)

    def _block(self, inputs: Any, block: nn.Module, name: str) -> Any:
        """A BasicBlock or a Bottleneck."""
        x = inputs
        for number in (n for n in (1, 2, 3) if hasattr(block, f"conv{n}")):
            x = layers.ReLU()(x) if number > 1 else x
            convolution, norm = getattr(block, f"conv{number}"), getattr(block, f"bn{number}")
            names = f"{name}-conv{number}", f"{name}-bn{number}"
            x = self._conv_bn(x, convolution, norm, *names)
        if isinstance(block.downsample, nn.Sequential):
            convolution, norm = block.downsample
            names = f"{name}-downsample-0", f"{name}-downsample-1"
            inputs = self._conv_bn(inputs, convolution, norm, *names)
        return layers.ReLU()(layers.Add()([x, inputs]))

    def _conv_bn(
        self, x: Any, convolution: nn.Module, norm: nn.Module, name: str, norm_name: str
    ) -> Any:
        assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        padding, stride = int(convolution.padding[0]), convolution.stride[0]
        assert convolution.bias is None and norm.momentum is not None
        # With a stride, TensorFlow's "same" pads only on the right and at the bottom.
        same = stride == 1 and 2 * padding + 1 == convolution.kernel_size[0]
        if padding and not same:
            x = layers.ZeroPadding2D(padding)(x)
        x = layers.Conv2D(
            convolution.out_channels,
            convolution.kernel_size,
            strides=convolution.stride,
            padding="same" if same else "valid",
            use_bias=False,
            kernel_regularizer=self._kernel_decay,
            name=name,
        )(x)
        return layers.BatchNormalization(
            axis=_channels_axis(), momentum=1 - norm.momentum, epsilon=norm.eps, name=norm_name
        )(x)


def _channels_axis() -> int:
    return 1 if keras.config.image_data_format() == "channels_first" else 3


def _weights(network: keras.Model) -> list[tuple[Any, list[str]]]:
    """Each layer with weights, and their names in torchvision's state dict."""
    entries = {
        layers.Conv2D: ("weight",),
        layers.Dense: ("weight", "bias"),
        layers.BatchNormalization: ("weight", "bias", "running_mean", "running_var"),
    }
    return [
        (layer, [f"{layer.name.replace('-', '.')}.{name}" for name in entries[type(layer)]])
        for layer in network.layers
        if type(layer) in entries
    ]


def _to_keras(values: np.ndarray) -> np.ndarray:
    """(out, in, height, width) -> (height, width, in, out); (out, in) -> (in, out)."""
    return values.transpose(2, 3, 1, 0) if values.ndim == 4 else values.T


def _to_torch(values: np.ndarray) -> np.ndarray:
    transposed = values.transpose(3, 2, 0, 1) if values.ndim == 4 else values.T
    return np.ascontiguousarray(transposed)

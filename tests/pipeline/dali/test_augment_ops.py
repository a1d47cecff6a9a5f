"""The operations of TrivialAugment and RandAugment give torchvision's pixels."""

import itertools
from typing import NamedTuple

import numpy as np
import pytest
import torch
from nvidia.dali import fn
from sklearn.datasets import load_sample_images
from torchvision.transforms import InterpolationMode, v2

from pipeline.dali.augment_ops import apply_operation
from pipeline.dali.decode_graph import GraphConfig, new_pipeline
from pipeline.plan.auto_augment import Operation, amounts, largest_magnitudes, matrices

SIDE_PX = 224
STRENGTHS = (1, 13, 30)
TORCHVISION_NAMES = {
    Operation.SHEAR_X: "ShearX",
    Operation.SHEAR_Y: "ShearY",
    Operation.TRANSLATE_X: "TranslateX",
    Operation.TRANSLATE_Y: "TranslateY",
    Operation.AUTOCONTRAST: "AutoContrast",
}

# Levels of 255 by which a pixel may differ, and the share of pixels that may differ by more; the
# reasons are in augment_ops.py.
TOLERANCE = {
    Operation.ROTATE: (0, 0.01),
    Operation.BRIGHTNESS: (1, 0),
    Operation.COLOR: (2, 0),
    Operation.CONTRAST: (2, 0),
    Operation.SHARPNESS: (1, 0),
    Operation.AUTOCONTRAST: (1, 0),
    Operation.EQUALIZE: (1, 0),
}


class Case(NamedTuple):
    operation: Operation
    strength: int
    sign: int


CASES = [Case(*case) for case in itertools.product(Operation, STRENGTHS, (-1, 1))]


def photographs() -> np.ndarray:
    """uint8 (2, 224, 224, 3): crops of scikit-learn's photographs, the second with low contrast."""
    first, second = load_sample_images().images
    return np.stack([first[:SIDE_PX, :SIDE_PX], second[-SIDE_PX:, :SIDE_PX] // 3 + 40])


def apply_all(images: np.ndarray, policy: str) -> np.ndarray:
    """uint8 (cases, B, H, W, 3): every case of every image, in one batch."""
    operation, strength, sign = np.repeat(np.array(CASES), len(images), axis=0).T
    magnitude = largest_magnitudes(policy, SIDE_PX)[operation] * strength / 30
    inputs = (
        np.tile(images, (len(CASES), 1, 1, 1)),
        operation.astype(np.int32),
        matrices(operation, magnitude * sign, SIDE_PX).astype(np.float32),
        amounts(operation, magnitude, sign).astype(np.float32),
    )
    config = GraphConfig(
        batch_size=len(operation),
        parameter_names=(),
        operations=1,
        erased_color=(0.0, 0.0, 0.0),
        device_id=None,
        threads=1,
        prefetch=1,
        hw_decoder_load=0.0,
    )

    def outputs() -> object:
        layouts = ["HWC", "", "", ""]
        nodes = fn.external_source(lambda: inputs, num_outputs=4, batch=True, layout=layouts)
        return apply_operation(nodes[0], nodes[1], nodes[2], nodes[3])

    pipeline = new_pipeline(outputs, config)
    pipeline.build()
    (out,) = pipeline.run()
    return np.array(out.as_tensor()).reshape(len(CASES), *images.shape)


def apply_torchvision(images: np.ndarray, policy: str, case: Case) -> np.ndarray:
    """The same case of every image, (B, H, W, 3)."""
    transform = v2.TrivialAugmentWide() if policy == "trivial" else v2.RandAugment()
    name = TORCHVISION_NAMES.get(case.operation, case.operation.name.capitalize())
    magnitudes, signed = transform._AUGMENTATION_SPACE[name]
    values = magnitudes(31, SIDE_PX, SIDE_PX)
    value = 0.0 if values is None else float(values[case.strength]) * (case.sign if signed else 1)
    planes = torch.from_numpy(images).permute(0, 3, 1, 2)
    out = transform._apply_image_or_video_transform(
        planes, name, value, InterpolationMode.NEAREST, {torch.Tensor: None}
    )
    return out.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("policy", ["trivial", "rand"])
def test_operations_give_torchvisions_pixels(policy: str) -> None:
    images = photographs()
    for case, ours in zip(CASES, apply_all(images, policy), strict=True):
        theirs = apply_torchvision(images, policy, case)
        if case.operation == Operation.SHARPNESS:
            ours, theirs = ours[:, 1:-1, 1:-1], theirs[:, 1:-1, 1:-1]
        levels, share = TOLERANCE.get(case.operation, (0, 0))
        beyond = np.abs(ours.astype(int) - theirs) > levels
        assert beyond.mean() <= share, (case, beyond.mean())


def test_a_channel_of_one_level_does_not_change() -> None:
    plain = np.full((1, SIDE_PX, SIDE_PX, 3), (0, 130, 255), np.uint8)
    for case, ours in zip(CASES, apply_all(plain, "trivial"), strict=True):
        if case.operation in (Operation.AUTOCONTRAST, Operation.EQUALIZE):
            assert np.array_equal(ours, apply_torchvision(plain, "trivial", case)), case

"""Encoded bytes -> a uint8 tensor (3, 224, 224), by three libraries; windows for those without."""

import io
import math
import random
from collections.abc import Callable
from functools import cache
from typing import Any

from benchmarks.peers.loaders.contract import IMAGE_SIZE_PX

AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


def random_window(height: int, width: int) -> tuple[int, int, int, int]:
    """(y, x, height, width) as torchvision's ``RandomResizedCrop`` draws it."""
    for _ in range(10):
        area = height * width * random.uniform(*AREA)
        ratio = math.exp(random.uniform(*map(math.log, RATIO)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return random.randint(0, height - h), random.randint(0, width - w), h, w
    h = min(height, round(width / RATIO[0]))
    w = min(width, round(height * RATIO[1]))
    return (height - h) // 2, (width - w) // 2, h, w


@cache
def _augmentation(*last: Any) -> Callable[[Any], Any]:
    from torchvision.transforms import v2

    steps = [v2.RandomResizedCrop(IMAGE_SIZE_PX), v2.RandomHorizontalFlip(), *last]
    composed: Callable[[Any], Any] = v2.Compose(steps)
    return composed


@cache
def _to_tensor() -> Any:
    from torchvision.transforms import v2

    return v2.PILToTensor()


def pil_augment(image: Any) -> Any:
    """Of a PIL image."""
    return _augmentation(_to_tensor())(image)


def pil(data: bytes) -> Any:
    """Decoded whole by Pillow, as torchvision's references do."""
    from PIL import Image

    return pil_augment(Image.open(io.BytesIO(data)).convert("RGB"))


def tensor(data: bytes) -> Any:
    """Decoded whole by torchvision and resized as uint8, the fastest way that its manual names."""
    import torch
    from torchvision.io import ImageReadMode, decode_image

    encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    return _augmentation()(decode_image(encoded, ImageReadMode.RGB))


def opencv(data: bytes) -> Any:
    """Decoded whole by OpenCV. Its INTER_LINEAR does not antialias, so this is less work, and what
    is made smaller comes out rougher."""
    import cv2
    import numpy as np
    import torch

    cv2.setNumThreads(0)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image is not None
    y, x, height, width = random_window(*image.shape[:2])
    window = image[y : y + height, x : x + width]
    resized = cv2.resize(window, (IMAGE_SIZE_PX, IMAGE_SIZE_PX), interpolation=cv2.INTER_LINEAR)
    if random.random() < 0.5:
        resized = cv2.flip(resized, 1)
    return torch.from_numpy(resized).permute(2, 0, 1)


DECODERS: dict[str, Callable[[bytes], Any]] = {"pil": pil, "tensor": tensor, "opencv": opencv}

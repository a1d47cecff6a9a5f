"""Encoded bytes -> a uint8 tensor (3, size, size), by four libraries; and random crops."""

import io
import math
import random
from collections.abc import Callable
from functools import cache
from typing import Any

from benchmarks.peers.contract import IMAGE_SIZE_PX

AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


def random_crop(height: int, width: int) -> tuple[int, int, int, int]:
    """(y, x, height, width) as drawn by torchvision's ``RandomResizedCrop``."""
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
def _augmentation(size_px: int, *last: Any) -> Callable[[Any], Any]:
    from torchvision.transforms import v2

    steps = [v2.RandomResizedCrop(size_px), v2.RandomHorizontalFlip(), *last]
    composed: Callable[[Any], Any] = v2.Compose(steps)
    return composed


@cache
def _to_tensor() -> Any:
    from torchvision.transforms import v2

    return v2.PILToTensor()


def pil_augment(image: Any, size_px: int = IMAGE_SIZE_PX) -> Any:
    """Crop, flip and convert a PIL image."""
    return _augmentation(size_px, _to_tensor())(image)


def pil(data: bytes, size_px: int = IMAGE_SIZE_PX) -> Any:
    """Decode the full image with Pillow, as in torchvision's references."""
    from PIL import Image

    return pil_augment(Image.open(io.BytesIO(data)).convert("RGB"), size_px)


def tensor(data: bytes) -> Any:
    """Decode the full image with torchvision and resize it as uint8, its fastest way."""
    import torch
    from torchvision.io import ImageReadMode, decode_image

    encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    return _augmentation(IMAGE_SIZE_PX)(decode_image(encoded, ImageReadMode.RGB))


def torchcodec(data: bytes) -> Any:
    """The same with TorchCodec's decoder, which replaces torchvision's."""
    from torchcodec.decoders import decode_image

    return _augmentation(IMAGE_SIZE_PX)(decode_image(data, mode="RGB"))


def opencv(data: bytes) -> Any:
    """Decode the full image with OpenCV. Its INTER_LINEAR does not antialias: less work, and
    rougher images."""
    import cv2
    import numpy as np
    import torch

    cv2.setNumThreads(0)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image is not None
    y, x, height, width = random_crop(*image.shape[:2])
    crop = image[y : y + height, x : x + width]
    resized = cv2.resize(crop, (IMAGE_SIZE_PX, IMAGE_SIZE_PX), interpolation=cv2.INTER_LINEAR)
    if random.random() < 0.5:
        resized = cv2.flip(resized, 1)
    return torch.from_numpy(resized).permute(2, 0, 1)

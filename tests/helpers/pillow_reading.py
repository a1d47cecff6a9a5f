"""Pillow's pixels of an image, upright and of 8 bits, by the rules of tools/images."""

import io
import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageOps


def pillow_reading(data: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """RGB (h, w, 3) of the first frame: orientation by EXIF or XMP undone, 16 bits scaled to 8
    (Pillow itself clips gray ones), transparency over white. Raises whatever Pillow raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image: Image.Image = Image.open(io.BytesIO(data))
        image.seek(0)
        image.load()
        clear = image.info.get("transparency")
        image = ImageOps.exif_transpose(image)
        if image.mode == "I" or image.mode.startswith("I;16"):
            values = np.asarray(image).astype(np.int64)
            gray = (values + 128) // 257
            if clear is not None:
                gray[values == clear] = 255
            return np.repeat(gray[:, :, None], 3, axis=2).astype(np.uint8)
        if clear is None and image.mode not in ("LA", "PA", "RGBA", "La", "RGBa"):
            return np.asarray(image.convert("RGB"))
        values = np.asarray(image.convert("RGBA")).astype(np.int64)
    opacity = values[:, :, 3:]
    return ((values[:, :, :3] * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)


def written(image: Image.Image, format: str, **arguments: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **arguments)
    return buffer.getvalue()

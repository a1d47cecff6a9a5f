"""Resize and flip on the CPU: torch's kernels as an operator of DALI's graph.

torch's kernels of uint8 images take a fifth of the time of DALI's operator (2-core EPYC, 365 px to
224 px) and give the pixels of torchvision's antialiased resize, which calls the same kernels.
"""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import nvidia.dali.fn as fn
import torch
from numpy.typing import NDArray
from nvidia.dali.data_node import DataNode
from PIL import Image
from torch.utils.dlpack import from_dlpack

from pipeline.arrays import Integers
from pipeline.daemon_thread import DaemonThread

# Images of a task: few, so that the threads end a run at about the same time.
TASK_IMAGES = 8
# torch resizes whole crops only, from which the region is cut. Where that takes more than this many
# times the pixels of the region, as for a panorama, Pillow resizes the region alone, slower.
MAX_RESIZED = 4
# Rounding errors of regions in float32, in px of the result.
TOLERANCE_PX = 1e-3

_KERNELS = {
    "bilinear": torch.ops.aten._upsample_bilinear2d_aa,
    "bicubic": torch.ops.aten._upsample_bicubic2d_aa,
}
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def resize_on_cpu(
    crops: DataNode, parameters: Mapping[str, DataNode], *, interpolation: str, threads: int
) -> DataNode:
    """Crops, uint8 (h, w, 3) -> the region of each, resized and flipped as ``Parameters`` says."""
    result: Any = fn.dl_tensor_python_function(
        crops,
        *(parameters[name] for name in ("size", "roi_start", "roi_end", "mirror")),
        function=_Resizer(interpolation, threads),
        batch_processing=True,
        output_layouts="HWC",
    )
    return result


def resized_wholes(
    shape: Integers, size: Integers, roi_start: NDArray[np.float32], roi_end: NDArray[np.float32]
) -> tuple[Integers, Integers, NDArray[np.bool_]]:
    """How to resize whole crops so that their regions get `size`.

    Args:
        shape, size: int64 (B, 2), (height, width) of the crops and of the results in px.
        roi_start, roi_end: float32 (B, 2), the regions, (y, x) in px of the crops.

    Returns:
        The size of the resized crop and the first pixel of the region in it, int64 (B, 2) each in
        px; and whether this is exact and not too much work (see MAX_RESIZED), bool (B,).
    """
    scale = size / (roi_end.astype(np.float64) - roi_start)
    exact_size, exact_first = shape * scale, roi_start * scale
    resized, first = (np.round(px).astype(np.int64) for px in (exact_size, exact_first))
    error = np.abs(np.hstack([exact_size - resized, exact_first - first])).max(axis=1)
    few = resized.prod(axis=1) <= MAX_RESIZED * size.prod(axis=1)
    return resized, first, few & (error < TOLERANCE_PX)


class _Resizer:
    """The operator. DALI calls it with a list of DLPack capsules per input and copies the results,
    which are in the same memory in each run: new memory would add a third to the time."""

    def __init__(self, interpolation: str, threads: int) -> None:
        self._interpolation, self._threads = interpolation, threads
        self._results = torch.empty(0)

    def __call__(self, *inputs: Sequence[Any]) -> list[Any]:
        crops, *parameters = ([from_dlpack(sample) for sample in samples] for samples in inputs)
        size, start, end, mirror = (torch.stack(values).numpy() for values in parameters)
        shape = np.array([crop.shape[:2] for crop in crops])
        wholes = resized_wholes(shape, size.astype(np.int64), start, end)
        results = self._memory(len(crops), *size[0].astype(int).tolist())
        columns = (*wholes, np.hstack([start, end]), mirror)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        jobs = list(zip(results.unsqueeze(1).unbind(), crops, rows, strict=True))
        pool = _pool(self._threads)
        tasks = [
            pool.submit(partial(self._resize, jobs[first : first + TASK_IMAGES]))
            for first in range(0, len(jobs), TASK_IMAGES)
        ]
        for task in tasks:
            task.result()
        return [image.__dlpack__() for image in results.permute(0, 2, 3, 1).unbind()]

    def _memory(self, images: int, height: int, width: int) -> torch.Tensor:
        """Memory for the results: uint8 (images, 3, height, width), channels last."""
        if self._results.shape[1:] != (3, height, width) or len(self._results) < images:
            self._results = torch.empty(
                (images, 3, height, width), dtype=torch.uint8, memory_format=torch.channels_last
            )
        return self._results[:images]

    def _resize(self, jobs: Sequence[tuple[torch.Tensor, torch.Tensor, tuple[Any, ...]]]) -> None:
        for result, crop, (resized, first, exact, region, mirror) in jobs:
            if exact:
                _resize_whole(result, crop, resized, first, self._interpolation)
            else:
                _resize_region(result, crop, region, self._interpolation)
            if mirror:
                result.copy_(result.flip(3))


def _resize_whole(
    result: torch.Tensor, crop: torch.Tensor, size: list[int], first: list[int], interpolation: str
) -> None:
    """Resize `crop` (h, w, 3) to `size`; what begins at `first` becomes `result` (1, 3, H, W)."""
    kernel, image = _KERNELS[interpolation], crop.permute(2, 0, 1)[None]
    if size == list(result.shape[2:]):
        kernel.out(image, size, False, None, None, out=result)
        return
    (y, x), (height, width) = first, result.shape[2:]
    resized = kernel.default(image, size, False, None, None)
    result.copy_(resized[:, :, y : y + height, x : x + width])


def _resize_region(
    result: torch.Tensor, crop: torch.Tensor, region: list[float], interpolation: str
) -> None:
    """Resize the `region` (top, left, bottom, right) of `crop` (h, w, 3) into `result`."""
    top, left, bottom, right = region
    height, width = crop.shape[:2]
    box = (left, top, min(right, width), min(bottom, height))
    size = (result.shape[3], result.shape[2])
    image = Image.fromarray(crop.numpy()).resize(size, _FILTERS[interpolation], box)
    result[0].copy_(torch.from_numpy(np.array(image)).permute(2, 0, 1))


@cache
def _pool(threads: int) -> DaemonThread:
    """Threads that all loaders of the process share."""
    return DaemonThread("shardline-resize", threads)

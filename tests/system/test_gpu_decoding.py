"""The card decodes, not the CPU in its place, and its pixels do not depend on other work."""

import time
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import nvidia.dali.fn as fn
import pytest
import torch
from nvidia.dali.data_node import DataNode

from pipeline.arrays import Bytes
from pipeline.build import train_loader
from pipeline.config import PipelineConfig
from pipeline.dali.decode_graph import GraphConfig, decode, new_pipeline
from pipeline.storage.dataset import Dataset

GPU = torch.device("cuda", 0)
BATCH_SIZE, BATCHES = 64, 100


def photographs_420(side_px: int, count: int) -> list[Bytes]:
    """JPEGs with chroma of half the resolution, as tools/shard writes them."""
    random = np.random.default_rng(0)
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    images = []
    for _ in range(count):
        coarse = random.integers(0, 256, (side_px // 8, side_px // 8, 3), np.uint8)
        smooth = cv2.resize(coarse, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
        images.append(cv2.imencode(".jpg", smooth, sampling)[1].reshape(-1))
    return images


def cpu_seconds_per_image(device_id: int | None, images: list[Bytes], load: float) -> float:
    """CPU seconds of this process, all threads, to decode a crop of each of `images`."""
    graph = GraphConfig(
        batch_size=len(images),
        parameter_names=(),
        operations=0,
        erased_color=(0.0, 0.0, 0.0),
        device_id=device_id,
        threads=2,
        prefetch=1,
        hw_decoder_load=load,
    )
    crop = {"start": [0, 0], "shape": [1000, 1000]}

    def outputs() -> tuple[DataNode, ...]:
        encoded = fn.external_source(name="encoded", batch=True)
        boxes = {
            name: fn.external_source(name=name, batch=True, no_copy=False) for name in sorted(crop)
        }
        return decode(encoded, boxes, graph)

    pipeline = new_pipeline(outputs, graph)
    pipeline.build()
    used = []
    for _ in range(4):
        pipeline.feed_input("encoded", images)
        for name, box in crop.items():
            pipeline.feed_input(name, np.tile(np.array(box, np.int32), (len(images), 1)))
        before = time.process_time()
        pipeline.run()
        used.append((time.process_time() - before) / len(images))
    return min(used[1:])


@pytest.mark.gpu
@pytest.mark.parametrize("load", [0.0, 1.0])
def test_the_card_decodes_in_place_of_the_cpu(load: float) -> None:
    # Above DALI's hybrid_huffman_threshold of 10^6 px, where the CPU has next to nothing to do. An
    # image that the card refuses costs as much as on the CPU, and a copy.
    images = photographs_420(2048, 16)
    on_cpu, on_gpu = (cpu_seconds_per_image(device, images, load) for device in (None, 0))
    print(f"CPU ms an image: {1000 * on_cpu:.2f} on the CPU, {1000 * on_gpu:.2f} on the GPU")
    assert on_gpu < on_cpu / 2


@pytest.mark.gpu
@pytest.mark.parametrize("side_px", [224, 500, 2048])
def test_no_image_needs_the_cpus_decoder(side_px: int) -> None:
    from nvidia import nvimgcodec

    kinds = nvimgcodec.BackendKind
    backends = [
        nvimgcodec.Backend(kind)
        for kind in (kinds.HW_GPU_ONLY, kinds.GPU_ONLY, kinds.HYBRID_CPU_GPU)
    ]
    decoder: Any = nvimgcodec.Decoder(device_id=0, backends=backends, options=":fancy_upsampling=1")
    images = [bytes(image) for image in photographs_420(side_px, 32)]
    decoded = decoder.decode([nvimgcodec.CodeStream(image) for image in images])
    assert [image is None for image in decoded] == [False] * len(images)


def batch_hashes(shards: Path, device: torch.device, load: float, *, busy: bool) -> list[int]:
    """A hash of the pixels of each batch, computed on the device without waiting for it; `busy`
    queues the work of a training behind every batch."""
    config = PipelineConfig(threads=4, image_size=224, hw_decoder_load=load)
    loader = train_loader(Dataset(shards), config, global_batch_size=BATCH_SIZE, device=device)
    generator = torch.Generator().manual_seed(0)
    words = BATCH_SIZE * 224 * 224 * 3 // 8
    factors = torch.randint(-(2**62), 2**62, (words,), generator=generator).to(device)
    work = torch.randn(4096 if busy else 8, 4096 if busy else 8, device=device)
    hashes = []
    with loader:
        for batch in islice(loader, BATCHES):
            for _ in range(8 if busy else 0):
                work = torch.nn.functional.normalize(work @ work)
            pixels = batch.images.permute(0, 2, 3, 1).reshape(-1)
            hashes.append((pixels.view(torch.int64) * factors).sum())
            assert len(pixels) == 8 * words
    return [int(value) for value in torch.stack(hashes).tolist()]


@pytest.mark.gpu
@pytest.mark.parametrize("load", [0.0, 1.0])
def test_pixels_do_not_depend_on_other_work(photographs: Path, load: float) -> None:
    idle = batch_hashes(photographs, GPU, load, busy=False)
    wrong = [
        sum(
            a != b
            for a, b in zip(idle, batch_hashes(photographs, GPU, load, busy=busy), strict=True)
        )
        for busy in (False, True, True)
    ]
    assert wrong == [0, 0, 0], f"batches with other pixels at load {load}: {wrong} of {BATCHES}"

"""Which decoder is used, and how much memory it allocates in advance."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.batches import graph_config
from pipeline.build import TrainStream
from pipeline.config import PipelineConfig
from pipeline.dali.decoder_choice import (
    DALI_PADDING_BYTES,
    HINTED_PX,
    Libraries,
    Version,
    decoder_arguments,
    decodes_regions,
    installed_libraries,
    size_hint,
)
from pipeline.storage.dataset import Dataset
from tests.helpers.loaders import CPU


@pytest.mark.parametrize(
    ("device_id", "nvjpeg", "nvimgcodec", "mended", "regions"),
    [
        (None, (), (), None, True),
        (None, (12, 4), (0, 9), (1, 0), True),
        (0, (12, 4), (0, 9), None, False),
        (0, (13, 3), (0, 9), None, False),
        (0, (13, 3), (0, 9, 0, 20), (0, 9, 1), False),
        (0, (13, 3), (0, 9, 1, 4), (0, 9, 1), True),
        (1, (13, 2, 0), (2, 0), (0, 9, 1), True),
        (0, (13, 1, 9), (2, 0), (0, 9, 1), False),
        (0, (), (2, 0), (0, 9, 1), False),
        (0, (13, 3), (), (0, 9, 1), False),
    ],
)
def test_a_gpu_decodes_regions_only_with_libraries_that_can(
    device_id: int | None,
    nvjpeg: Version,
    nvimgcodec: Version,
    mended: Version | None,
    regions: bool,
) -> None:
    assert decodes_regions(device_id, Libraries(nvjpeg, nvimgcodec), mended) is regions


def test_no_released_library_decodes_regions_on_a_gpu() -> None:
    assert installed_libraries().nvjpeg >= (12,) and installed_libraries().nvimgcodec >= (0, 9)
    assert not decodes_regions(0, installed_libraries())


def test_few_large_images_do_not_count() -> None:
    heights, widths = np.full(1000, 375, np.int64), np.full(1000, 500, np.int64)
    heights[:9], widths[500:509] = 20_000, 30_000
    assert size_hint(heights, widths) == (375, 500)
    widths[:20] = 800
    assert size_hint(heights, widths) == (375, 800)
    assert size_hint(100 * heights, widths) == (HINTED_PX, 800)
    assert size_hint(heights[:0], widths[:0]) == (0, 0)
    assert size_hint(heights[:1], widths[-1:]) == (HINTED_PX, 500)


def test_memory_is_allocated_for_the_hinted_size() -> None:
    arguments = decoder_arguments(0, 0.65, (3000, 4096))
    assert arguments["preallocate_height_hint"] == 3000
    assert arguments["preallocate_width_hint"] == 4096
    assert arguments["device_memory_padding"] == 3000 * 4096 * 3
    assert decoder_arguments(0, 0.65, (375, 500))["device_memory_padding"] == DALI_PADDING_BYTES


def test_the_hardware_decoder_allocates_nothing_if_it_gets_no_images() -> None:
    arguments = decoder_arguments(0, 0, (3000, 4096))
    assert arguments["preallocate_height_hint"] == arguments["preallocate_width_hint"] == 0
    assert arguments["device_memory_padding"] == 3000 * 4096 * 3


def test_a_loader_hints_the_sizes_of_its_split(digits_shards: Path) -> None:
    stream = TrainStream(
        Dataset(digits_shards), PipelineConfig(threads=1), global_batch_size=8, device=CPU
    )
    assert stream.context.graph.hint_px == (8, 8)


def test_validation_needs_no_crops(digits_shards: Path) -> None:
    dataset = Dataset(digits_shards)
    for training in (True, False):
        graph = graph_config(dataset, PipelineConfig(), CPU, 8, training=training)
        assert graph.whole_images != training

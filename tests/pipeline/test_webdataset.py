"""The webdataset library reads the same samples from the shards as the pipeline does."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.storage.dataset import Dataset
from pipeline.storage.manifest import sample_key
from pipeline.storage.reader import ShardReader
from pipeline.watchdog import StallWatchdog

Samples = list[tuple[str, bytes, int]]


def read_with_pipeline(dataset: Dataset, split: str) -> Samples:
    """(key, image bytes, label) of each sample, in the order of the index."""
    index = dataset.split(split)
    reader = ShardReader(index, verify=True, watchdog=StallWatchdog(0, rank=0))
    images, damaged = reader.read(np.arange(len(index)))
    reader.close()
    assert not damaged
    return [
        (sample_key(int(row["key"])), image.tobytes(), int(row["label"]))
        for row, image in zip(index.samples, images, strict=True)
    ]


def read_with_webdataset(dataset: Dataset, split: str) -> Samples:
    import webdataset

    tars = [str(dataset.directory / s.name) for s in dataset.manifest.splits[split].shards]
    stored = webdataset.WebDataset(tars, shardshuffle=False)
    image_components = dataset.manifest.image_components
    samples = []
    for sample in stored:
        (image,) = (sample[name] for name in image_components if name in sample)
        samples.append((sample["__key__"], image, int(sample["cls"])))
    return samples


# webdataset leaves its files to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("split", ["train", "val"])
def test_samples_equal_those_of_the_dataset(digits_shards: Path, split: str) -> None:
    dataset = Dataset(digits_shards)
    samples = read_with_webdataset(dataset, split)
    assert len(samples) == len(dataset.split(split))
    assert samples == read_with_pipeline(dataset, split)

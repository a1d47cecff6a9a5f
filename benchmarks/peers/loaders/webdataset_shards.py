"""webdataset as its manual puts it together: shards shuffled and split between the workers, a
shuffle buffer, decoding and batching in the workers, a WebLoader that takes whole batches.

Pixels: equal. "pil" decodes with webdataset's own decoder, the one in its manual; "tensor" puts
torchvision's in its place.
"""

from collections.abc import Iterator
from typing import Any

from benchmarks.peers.loaders.contract import Batch, Task
from benchmarks.peers.loaders.transforms import pil_augment, tensor

# The manual's.
SHUFFLE_BUFFER = 1000


def batches(task: Task, decoder: str) -> Iterator[Batch]:
    import webdataset
    from torch.utils.data import default_collate

    urls = sorted(map(str, (task.folder / "shards").glob("*.tar")))
    dataset = webdataset.WebDataset(urls, shardshuffle=len(urls)).shuffle(SHUFFLE_BUFFER)
    decode = {"pil": dataset.decode("pilrgb"), "tensor": dataset}[decoder]
    augment = {"pil": pil_augment, "tensor": tensor}[decoder]
    dataset = (
        decode.to_tuple("jpg;png", "cls")
        .map_tuple(augment, int)
        .batched(task.batch_size, collation_fn=default_collate, partial=True)
    )
    if task.endless:
        dataset = dataset.repeat()
    loader: Any = webdataset.WebLoader(dataset, batch_size=None, num_workers=task.workers)
    yield from loader

"""webdataset as in its manual: shards shuffled and split between the workers, a shuffle buffer,
decoding and batching in the workers, and a WebLoader that takes whole batches.

Pixels: equal. "webdataset" decodes with webdataset's own decoder, as in its manual;
"webdataset-tensor" with torchvision's.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.peers.contract import TORCH, Batch, Peer, Task
from benchmarks.peers.transforms import pil_augment, tensor

# As in the manual.
SHUFFLE_BUFFER = 1000


def batches(task: Task, *, use_pil: bool) -> Iterator[Batch]:
    import webdataset
    from torch.utils.data import default_collate

    urls = sorted(map(str, (task.folder / "shards").glob("*.tar")))
    dataset = webdataset.WebDataset(urls, shardshuffle=len(urls)).shuffle(SHUFFLE_BUFFER)
    dataset = (
        (dataset.decode("pilrgb") if use_pil else dataset)
        .to_tuple("jpg;png", "cls")
        .map_tuple(pil_augment if use_pil else tensor, int)
        .batched(task.batch_size, collation_fn=default_collate, partial=True)
    )
    if task.endless:
        dataset = dataset.repeat()
    loader: Any = webdataset.WebLoader(dataset, batch_size=None, num_workers=task.workers)
    yield from loader


PEERS = {
    key: Peer(
        name=f"webdataset, {decoder}",
        batches=partial(batches, use_pil=decoder == "PIL"),
        stored="shards",
        packages=(*TORCH, "webdataset"),
    )
    for key, decoder in (("webdataset", "PIL"), ("webdataset-tensor", "tensors"))
}

"""Run under torchrun: maxima over all ranks, and over some of them, in both ways, and means."""

import torch

import trainer.distributed.collectives as collectives
from trainer.distributed.collectives import World
from trainer.distributed.process_group import open_world

REPEATS = 20


def check_maxima(world: World, limit: int) -> None:
    collectives.ROUNDS_FROM_RANKS = limit
    for number in range(REPEATS):
        rank, ranks = world.rank, world.world_size
        values = world.all_reduce_max([rank * number, -rank, (rank * 7 + 3) % ranks])
        expected = [(ranks - 1) * number, 0, max((r * 7 + 3) % ranks for r in range(ranks))]
        assert values == expected, (limit, rank, ranks, values)


def check_means(world: World, bucket_bytes: int) -> None:
    """Tensors of several types, sizes and memory formats, exchanged together or one by one."""
    collectives.BUCKET_BYTES = bucket_bytes
    mean = (world.world_size - 1) / 2
    tensors, expected = _tensors(world.rank), _tensors(mean)
    world.all_reduce_mean_(tensor for tensor in tensors)
    for tensor, right in zip(tensors, expected, strict=True):
        torch.testing.assert_close(tensor, right)


def _tensors(factor: float) -> list[torch.Tensor]:
    shapes = ((2, 3, 4, 5), (7,), (), (3, 2), (0, 4), (2, 2, 2, 2))
    dtypes = (*[torch.float32] * 3, *[torch.float64] * 2, torch.float32)
    tensors = [
        torch.arange(torch.Size(shape).numel(), dtype=dtype).reshape(shape) * factor + number
        for number, (shape, dtype) in enumerate(zip(shapes, dtypes, strict=True))
    ]
    tensors[0] = tensors[0].contiguous(memory_format=torch.channels_last)
    tensors[3] = tensors[3].t()
    return tensors


if __name__ == "__main__":
    with open_world("cpu") as world:
        worlds = [world, world.subgroup(max(1, world.world_size - 1))]
        for limit in (2, 100):
            for part in worlds:
                if part:
                    check_maxima(part, limit)
            world.barrier()
        for bucket_bytes in (1, 100, 2**20):
            for part in worlds:
                if part:
                    check_means(part, bucket_bytes)
    if world.rank == 0:
        print("right")

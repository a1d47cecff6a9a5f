"""Run under torchrun: maxima over all ranks, and over some of them, in both ways."""

import trainer.distributed.collectives as collectives
from trainer.distributed.process_group import open_world

REPEATS = 20

if __name__ == "__main__":
    with open_world("cpu") as world:
        worlds = [world, world.subgroup(max(1, world.world_size - 1))]
        for limit in (2, 100):
            collectives.ROUNDS_FROM_RANKS = limit
            for part in worlds:
                for number in range(REPEATS if part else 0):
                    rank, ranks = part.rank, part.world_size
                    values = part.all_reduce_max([rank * number, -rank, (rank * 7 + 3) % ranks])
                    expected = [
                        (ranks - 1) * number,
                        0,
                        max((r * 7 + 3) % ranks for r in range(ranks)),
                    ]
                    assert values == expected, (limit, rank, ranks, values)
            world.barrier()
    if world.rank == 0:
        print("right")

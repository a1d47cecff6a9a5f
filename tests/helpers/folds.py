"""The rule of docs/order.md by which folds are drawn, written from that page alone."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from tests.helpers.read_shards import words


def folds_of_the_page(
    seed: int, folds: int, ranks: Sequence[int], groups: Sequence[object]
) -> list[int]:
    """The fold of each row, from 1; rows with equal `groups` belong together."""
    rows_of = defaultdict(list)
    for row, group in enumerate(groups):
        rows_of[group].append(row)

    def key(rows: list[int]) -> tuple[int, ...]:
        of_group = [ranks[row] for row in rows]
        rank = min(of_group)
        return rank, -of_group.count(rank), -len(rows), words(seed, 2**61, rows[0])

    of_rank: Counter[tuple[int, int]] = Counter()
    in_all: Counter[int] = Counter()
    chosen = [0] * len(ranks)
    for rows in sorted(rows_of.values(), key=key):
        rank = key(rows)[0]
        fold = min(range(1, folds + 1), key=lambda k: (of_rank[k, rank], in_all[k], k))
        for row in rows:
            chosen[row] = fold
            of_rank[fold, ranks[row]] += 1
            in_all[fold] += 1
    return chosen

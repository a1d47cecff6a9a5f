"""The rule of docs/order.md by which a part of the samples is drawn, from that page alone."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from tests.helpers.read_shards import words


def part_of_the_page(
    seed: int, count: int, rows: Sequence[int], ranks: Sequence[int], shown: Sequence[set[int]]
) -> tuple[list[int], int]:
    """The rows of the part, ascending, and the least number of samples that a part has; `shown` has
    the ranks of the classes that each row shows."""
    numbers = sorted(range(len(rows)), key=lambda i: (words(seed, 2**60, rows[i]), rows[i]))
    sequence: list[int] = []
    for rank in sorted(set().union(*shown)):
        if not any(rank in shown[i] for i in sequence):
            sequence.append(next(i for i in numbers if rank in shown[i]))
    least, total, sizes = len(sequence), len(rows), Counter(ranks)
    while len(sequence) < total:
        length, taken = len(sequence) + 1, Counter(ranks[i] for i in sequence)
        allowed = [c for c in sizes if Fraction(taken[c], sizes[c]) < Fraction(length, total)]
        rank = min(allowed, key=lambda c: (Fraction(taken[c] + 1, sizes[c]), c))
        sequence.append(next(i for i in numbers if ranks[i] == rank and i not in sequence))
    return sorted(rows[i] for i in sequence[:count]), least

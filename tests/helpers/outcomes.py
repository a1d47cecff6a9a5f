"""Encode hostile files in processes that may die. Imports little, since each process imports it."""

import ctypes
from collections.abc import Callable, Sequence

from tools.images import decoding
from tools.images.codec import Encoded, UnsoundImageError, encode_file
from tools.images.encoding import Encoding
from tools.images.guards import StderrCapture
from tools.workers import WorkerDiedError, Workers
from tools.writing.block_encoding import prepare_worker

Outcome = Encoded | str


def outcome(data: bytes, encoding: Encoding) -> Outcome:
    """The stored image, or why it is rejected; any other exception fails the test."""
    with StderrCapture() as stderr:
        try:
            return encode_file(data, encoding, stderr)
        except UnsoundImageError as error:
            return str(error)


def outcomes(files: Sequence[bytes], encoding: Encoding) -> list[Outcome]:
    """Runs in a worker."""
    return [outcome(data, encoding) for data in files]


def outcomes_in_little_memory(files: Sequence[bytes], encoding: Encoding) -> list[Outcome]:
    # What other tests have freed stays with malloc, and would be used in addition.
    ctypes.CDLL(None).malloc_trim(0)
    decoding._ROOM_BYTES = 2**24
    return outcomes(files, encoding)


def outcomes_without_pixels(files: Sequence[bytes], encoding: Encoding) -> list[Outcome]:
    return [
        result if isinstance(result, str) else result._replace(pixels=None)
        for result in outcomes(files, encoding)
    ]


def in_workers(
    work: Callable[[Sequence[bytes]], list[Outcome]], files: Sequence[bytes]
) -> list[Outcome]:
    """`work` in processes that may die; "killed" for a file that kills them."""
    with Workers(2, prepare=prepare_worker) as workers:

        def rescue(some: Sequence[bytes]) -> list[Outcome]:
            try:
                return workers.alone(work, some)
            except WorkerDiedError:
                middle = len(some) // 2
                return rescue(some[:middle]) + rescue(some[middle:]) if middle else ["killed"]

        blocks = [files[first : first + 16] for first in range(0, len(files), 16)]
        return [one for result in workers.ordered(work, blocks, rescue=rescue) for one in result]

"""Deterministic algorithms (``--deterministic``): bitwise repeatable training on GPUs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline.errors import MisuseError

# From torch's error for an operation without a deterministic algorithm.
_NO_ALGORITHM = "does not have a deterministic implementation"


@contextmanager
def deterministic(enabled: bool) -> Iterator[None]:
    """Context in which torch only uses algorithms that give the same bits on the same GPUs and
    number of ranks, and cuDNN does not select algorithms by timing
    (docs.pytorch.org/docs/stable/notes/randomness.html). Enter it before the first matrix product
    on a GPU.

    Raises ``MisuseError`` if the model needs an operation without a deterministic algorithm.
    """
    if not enabled:
        yield
        return
    # cuBLAS reads this at its first matrix product.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    benchmark = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True)
    try:
        yield
    except RuntimeError as error:
        if _NO_ALGORITHM not in str(error):
            raise
        operation = str(error).split(_NO_ALGORITHM)[0].strip()
        raise MisuseError(
            f"--deterministic: torch has no deterministic algorithm for {operation}: choose "
            f"another --model, or leave out --deterministic."
        ) from error
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False
        torch.backends.cudnn.benchmark = benchmark

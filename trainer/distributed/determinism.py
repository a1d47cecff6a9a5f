"""The same bits each time, on GPUs too."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline.errors import MisuseError

# How torch names what it has no such algorithm for.
_COMPLAINT = "does not have a deterministic implementation"


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Within, torch takes only algorithms that give the same bits each time, on the same GPUs and
    number of ranks, and cuDNN doesn't choose by measuring
    (docs.pytorch.org/docs/stable/notes/randomness.html). Enter before the first product on a GPU.

    Raises ``MisuseError`` where the model needs something that has no such algorithm.
    """
    if not wanted:
        yield
        return
    # cuBLAS reads it when it first multiplies.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    benchmark = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True)
    try:
        yield
    except RuntimeError as error:
        if _COMPLAINT not in str(error):
            raise
        operation = str(error).split(_COMPLAINT)[0].strip()
        raise MisuseError(
            f"--deterministic: torch has no such algorithm for {operation}: give another --model, "
            f"or leave it out."
        ) from error
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False
        torch.backends.cudnn.benchmark = benchmark

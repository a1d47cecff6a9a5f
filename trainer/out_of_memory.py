"""What tells that memory has ended, and the sentence about it."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import DataError
from trainer.config import Settings

# Where memory may end.
BUILD, STEP, EVALUATION = "while the run was built", "in a training step", "in an evaluation"
# In the errors of CUDA, NCCL, DALI and torch's allocator; of cuBLAS and cuDNN; of torch on CPUs.
_SIGNS = ("out of memory", "alloc_failed", "can't allocate memory")


class NoSmallerBatchError(RuntimeError):
    """A step ran out of memory with the smallest micro-batches."""

    def __init__(self) -> None:
        super().__init__("out of memory with the smallest micro-batches")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory has ended; ``torch.OutOfMemoryError`` is a RuntimeError."""
    text = str(error).lower()
    is_torchs = isinstance(error, RuntimeError) and any(sign in text for sign in _SIGNS)
    return is_torchs or isinstance(error, MemoryError)


@contextmanager
def explained_memory(
    where: str, settings: Settings, world_size: int, *, in_float32: bool
) -> Iterator[None]:
    """Raise ``DataError`` instead of an error about memory that ended in this context.

    Args:
        where: BUILD, STEP or EVALUATION.
        settings: without open choices.
        in_float32: whether autocast to bfloat16 would need less memory there.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        was_divided = isinstance(error, NoSmallerBatchError)
        sentence = _sentence(
            where, settings, world_size, was_divided=was_divided, in_float32=in_float32
        )
        raise DataError(sentence) from error


def _sentence(
    where: str, settings: Settings, world_size: int, *, was_divided: bool, in_float32: bool
) -> str:
    """That memory ended, for which model and images, and what to try."""
    recipe, side_px = settings.recipe, settings.pipeline.image_size
    remedies = ["a smaller --image-size"]
    if where == STEP and recipe.accumulate_steps != "auto":
        remedies = ["--accumulate-steps auto, which divides the batch until it fits", *remedies]
    elif where == EVALUATION:
        remedies = ["a smaller --global-batch-size", *remedies]
    if in_float32:
        remedies.append("--precision bf16")
    divided = ", which --accumulate-steps auto can't divide further," if was_divided else ""
    return (
        f"Memory ended {where}: {recipe.model} on {side_px} x {side_px} px with a batch of "
        f"{recipe.global_batch_size // world_size} per rank{divided} needs more than there is: "
        f"give {', '.join(remedies)} or a smaller --model."
    )

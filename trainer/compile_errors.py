"""The sentence about a model that ``torch.compile`` can't compile."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import DataError
from trainer.config import Settings


@contextmanager
def explained_compilation(settings: Settings) -> Iterator[None]:
    """Raise ``DataError`` instead of an error of ``--compile`` in this context: models are compiled
    at the first step, and torch's compiler fails on some of them."""
    mode = settings.machine.compile
    if mode == "none":
        yield
        return
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), "no reason")
        raise DataError(
            f"--compile {mode}: torch can't compile {settings.recipe.model} "
            f"({type(error).__name__}: {reason.strip()}): give --compile none."
        ) from error

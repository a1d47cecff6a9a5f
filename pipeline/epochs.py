"""A loader's batches, one epoch an iteration."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.decoding import Batch
    from pipeline.loader import Loader


class Epochs:
    """Each iteration goes on from the loader's position to the end of the epoch it is in.

    For loops that iterate once an epoch (Lightning, Accelerate). A batch belongs to the epoch that
    it begins in, so that no sample is dropped or repeated where epochs aren't whole batches; an
    iteration left early is gone on with by the next. The state is the loader's.
    """

    def __init__(self, loader: "Loader", samples: int, advance: int) -> None:
        self._loader, self._samples, self._advance = loader, samples, advance
        self._stream: Iterator[Batch] | None = None

    @property
    def epoch(self) -> int:
        """The epoch that the next batch belongs to."""
        return self._loader.position // self._samples

    def __iter__(self) -> "Iterator[Batch]":
        epoch = self.epoch
        if self._stream is None:
            self._stream = iter(self._loader)
        while self.epoch == epoch:
            batch = next(self._stream, None)
            if batch is None:
                self._stream = None
                return
            yield batch

    def __len__(self) -> int:
        """Batches of the whole epoch that the next batch belongs to."""
        return (self._first(self.epoch + 1) - self._first(self.epoch)) // self._advance

    def set_epoch(self, epoch: int) -> None:
        """Go to the first batch of `epoch`, unless the next one belongs to it."""
        if epoch != self.epoch:
            self._go_to(self._first(epoch))

    def state_dict(self) -> dict[str, Any]:
        return self._loader.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._loader.load_state_dict(state)
        self._stream = None

    def close(self) -> None:
        self._stream = None
        self._loader.close()

    def _first(self, epoch: int) -> int:
        """Position of the first batch that begins in `epoch`."""
        offset = self._loader.position % self._advance
        return offset - (offset - epoch * self._samples) // self._advance * self._advance

    def _go_to(self, position: int) -> None:
        self.load_state_dict(self._loader.state_dict() | {"position": position})

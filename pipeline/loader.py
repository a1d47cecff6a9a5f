"""An iterable of batches whose only state is a position.

``train_loader``, ``val_loader`` and ``synthetic_loader`` make one; whoever takes batches can't tell
them apart.
"""

from collections.abc import Callable, Generator, Iterator
from typing import Any, Self

from pipeline.batches import Batch, BatchContext
from pipeline.errors import DataError


class Loader:
    """An iterable of batches whose only state is a position in the stream of samples.

    An iteration begins at the position; leaving it frees its threads and files, ``close`` also the
    images that are kept.

    Args:
        batches: makes the batches from a position on.
        steps: how many batches that makes; None if there is no end.
        advance: positions that a batch moves on, over all ranks; 0 for a loader that starts over
            at each iteration.
        samples: positions in an epoch.
        fingerprint: of the dataset that the position belongs to.
        source: where bad samples are remembered and images kept; None if the batches have none.
    """

    def __init__(
        self,
        batches: Callable[[int], Generator[Batch]],
        *,
        steps: Callable[[int], int | None],
        advance: int,
        samples: int,
        seed: int,
        fingerprint: str,
        position: int = 0,
        source: BatchContext | None = None,
    ) -> None:
        self._batches, self._steps, self._source = batches, steps, source
        self._advance, self._samples = advance, samples
        self._seed, self._fingerprint, self._position = seed, fingerprint, position
        self._running: Generator[Batch] | None = None

    @property
    def position(self) -> int:
        """Behind the last batch taken."""
        return self._position

    def __iter__(self) -> Iterator[Batch]:
        self._stop()
        running = self._running = self._batches(self._position)
        try:
            for batch in running:
                self._position += self._advance
                yield batch
        finally:
            running.close()

    def __len__(self) -> int:
        """Batches that an iteration gives now; ``TypeError`` if there is no end."""
        steps = self._steps(self._position)
        if steps is None:
            raise TypeError("These batches have no end: give an end_position, or use by_epoch().")
        return steps

    def by_epoch(self) -> "Epochs":
        """The same batches, where an iteration ends with the epoch."""
        return Epochs(self, self._samples, self._advance)

    def bad_samples(self) -> list[tuple[str, str]]:
        """(sample, reason) of each bad sample met so far, in whose place others came."""
        return [] if self._source is None else self._source.bad.describe()

    def state_dict(self) -> dict[str, Any]:
        """Seed, position behind the last batch taken, and the dataset that they belong to."""
        return {
            "seed": self._seed,
            "position": self._position,
            "fingerprint": self._fingerprint,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Let the next iteration go on from a ``state_dict``, made at any world size.

        Raises ``DataError`` if it belongs to another dataset or seed.
        """
        for name, own in (("fingerprint", self._fingerprint), ("seed", self._seed)):
            if state[name] != own:
                raise DataError(
                    f"The saved position belongs to {name} {state[name]}, these batches have "
                    f"{own}: resume with the shards and the --seed that it was saved with."
                )
        self._stop()
        self._position = state["position"]

    def close(self) -> None:
        """Free everything; an iteration begun later starts anew."""
        self._stop()
        if self._source is not None and self._source.kept is not None:
            self._source.kept.clear()

    def _stop(self) -> None:
        if self._running is not None:
            self._running.close()
            self._running = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


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

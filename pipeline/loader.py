"""An iterable of batches whose only state is a position in the stream of samples.

``train_loader``, ``val_loader`` and ``synthetic_loader`` build one.
"""

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, Self

from pipeline.batch import Batch
from pipeline.errors import DataError

if TYPE_CHECKING:  # imports DALI
    from pipeline.batches import BatchContext


class Loader:
    """An iterable of ``Batch`` whose only state is a position in the stream of samples.

    Build one with ``train_loader`` or ``val_loader``. Each ``iter(loader)`` starts at the position
    and ends an earlier iteration; each batch advances the position by the global batch size. An
    iteration that ends early frees its threads and files; ``close`` (or leaving a ``with`` block)
    also frees the cache of decoded images.

    Args:
        batches: function of a position that generates the batches from there.
        steps: function of a position that counts those batches; None for an endless stream.
        advance: positions that a batch takes, summed over all ranks; 0 for a loader that starts
            over at each iteration.
        samples: positions of an epoch.
        seed, fingerprint, fold, train_samples: of the order and of the dataset; a saved state must
            match them.
        position: where the first iteration starts.
        context: holds the bad samples and the decoded images; None if the batches have neither.

    Raises (while iterating):
        DataError: see ``train_loader``.

    Example:
        >>> with train_loader(dataset, config, global_batch_size=256, device=device) as loader:
        ...     loader.load_state_dict(torch.load("loader.pt"))
        ...     for batch in loader: train(batch.images, batch.labels)
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
        fold: str | None = None,
        train_samples: str | None = None,
        position: int = 0,
        context: "BatchContext | None" = None,
    ) -> None:
        self._batches, self._steps, self._context = batches, steps, context
        self._advance, self._samples = advance, samples
        self._identity = {"fingerprint": fingerprint, "seed": seed}
        self._identity |= {"fold": fold, "train_samples": train_samples}
        self._position = position
        self._running: Generator[Batch] | None = None

    @property
    def position(self) -> int:
        """The position after the last batch, in samples from the beginning of the stream."""
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
        """Batches from the position to the end; raises ``TypeError`` for an endless stream."""
        steps = self._steps(self._position)
        if steps is None:
            raise TypeError("This loader is endless: pass end_position, or use by_epoch().")
        return steps

    def __repr__(self) -> str:
        steps, parts = self._steps(self._position), [f"samples: {self._samples:,}"]
        if (context := self._context) is not None:
            parts = [f"split: {context.index.name}", *parts]
            parts += [f"batch size: {context.batch_size:,} on {context.device}"]
        if self._advance:
            parts.append(f"position: {self._position:,}")
        parts.append("endless" if steps is None else f"batches left: {steps:,}")
        return f"Loader({', '.join(parts)})"

    def by_epoch(self) -> "Epochs":
        """The same batches as an iterable whose iterations end with the epoch."""
        return Epochs(self, self._samples, self._advance)

    def bad_samples(self) -> list[tuple[str, str]]:
        """(sample, reason) of each bad sample found so far; other samples replaced them."""
        return [] if self._context is None else self._context.bad.describe()

    def state_dict(self) -> dict[str, Any]:
        """The state after the last batch: "seed", "position", "fingerprint" of the dataset, and
        "fold" and "train_samples", None without one."""
        return {"position": self._position, **self._identity}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a ``state_dict`` that was saved at any world size.

        Raises ``DataError`` if it was saved with another dataset, seed, fold or part of it.
        """
        # What states of earlier versions lack.
        state = {"fold": None, "train_samples": None, **state}
        for name, expected in self._identity.items():
            if state[name] != expected:
                raise DataError(
                    f"The saved position belongs to {name} {state[name]}, but this loader has "
                    f"{name} {expected}: resume with the same shards, --seed, --fold and "
                    f"--train-samples."
                )
        self._stop()
        self._position = state["position"]

    def close(self) -> None:
        """Free threads, files and decoded images; a later iteration opens them again."""
        self._stop()
        if self._context is not None and self._context.decoded_cache is not None:
            self._context.decoded_cache.clear()

    def _stop(self) -> None:
        if self._running is not None:
            self._running.close()
            self._running = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Epochs:
    """A loader's batches, where each iteration continues to the end of the current epoch.

    For loops that iterate once per epoch (Lightning, Accelerate). A batch belongs to the epoch that
    its first sample is in, so no sample is dropped or repeated when epochs aren't whole batches.
    The next iteration continues one that was left early. The state is the loader's.
    """

    def __init__(self, loader: Loader, samples: int, advance: int) -> None:
        self._loader, self._samples, self._advance = loader, samples, advance
        self._stream: Iterator[Batch] | None = None

    @property
    def epoch(self) -> int:
        """The epoch of the next batch, from 0."""
        return self._loader.position // self._samples

    def __iter__(self) -> Iterator[Batch]:
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

    def __repr__(self) -> str:
        return f"Epochs(epoch: {self.epoch}, batches: {len(self):,}, of {self._loader!r})"

    def set_epoch(self, epoch: int) -> None:
        """Go to the first batch of `epoch`, unless the next batch belongs to it already."""
        if epoch != self.epoch:
            self.load_state_dict(self.state_dict() | {"position": self._first(epoch)})

    def state_dict(self) -> dict[str, Any]:
        """See ``Loader.state_dict``."""
        return self._loader.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``Loader.load_state_dict``."""
        self._loader.load_state_dict(state)
        self._stream = None

    def close(self) -> None:
        """See ``Loader.close``."""
        self._stream = None
        self._loader.close()

    def _first(self, epoch: int) -> int:
        """Position of the first batch of `epoch`."""
        offset = self._loader.position % self._advance
        return offset - (offset - epoch * self._samples) // self._advance * self._advance

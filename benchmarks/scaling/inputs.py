"""The batches of each rung of the stall ladder, on one rank of one world."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from torch.nn.parallel import DistributedDataParallel

from benchmarks.measuring.page_cache import drop
from benchmarks.scaling.in_memory import InMemorySource
from benchmarks.scaling.record import COLD, LOADER, LOCKSTEP, MEMORY, NO_ALL_REDUCE, ONE_BATCH, WARM
from pipeline.batch import Batch
from pipeline.batches import decoded_batches
from pipeline.build import TrainStream
from pipeline.loader import Loader
from pipeline.plan.decode_groups import max_lookahead
from pipeline.storage.reader import ShardReader
from pipeline.synthetic import synthetic_loader
from pipeline.watchdog import StallWatchdog
from trainer.data import train_batches
from trainer.training_run import TrainingRun

# The rungs with the loader's threads.
LOADED = (MEMORY, WARM, COLD, LOADER)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Inputs of a training run. Batches start at position 0, so all runs of a rung see the same
    samples.

    Attributes:
        loader: the trainer's.
        stream: that the loader reads.
        in_memory: the source of `stream`, with encoded images in memory.
        one_batch: the first batch of the loader; `synthetic` has its shape.
        files: the tars of the split that are local.
    """

    run: TrainingRun
    loader: Loader
    stream: TrainStream
    in_memory: InMemorySource
    one_batch: Batch
    synthetic: Batch
    files: list[Path]

    @property
    def max_lookahead(self) -> int:
        """The largest number of steps that the loader prepares ahead."""
        config = self.run.settings.pipeline
        return max_lookahead(config.prefetch, config.read_ahead, self.group)

    @property
    def group(self) -> int:
        """Number of steps that the loader delivers at once."""
        return self.stream.context.group

    @contextmanager
    def open(self, rung: str) -> Iterator[Iterator[Batch]]:
        """Endless batches; the end frees the loader's threads and files."""
        with closing(self._batches(rung)) as batches:
            yield batches

    def prepare(self, rung: str, steps: int) -> None:
        """Drop the files from the page cache, or load the samples of `steps` steps into it."""
        if rung == COLD:
            drop(self.files)
        elif rung in (WARM, LOADER):
            self._read(steps)

    @contextmanager
    def gradient_exchange(self, rung: str) -> Iterator[None]:
        """Disables the exchange of gradients on the rungs without it."""
        model = self.run.train_step.model
        if rung in (NO_ALL_REDUCE, LOCKSTEP) and isinstance(model, DistributedDataParallel):
            with model.no_sync():
                yield
        else:
            yield

    def _batches(self, rung: str) -> Generator[Batch]:
        if rung == MEMORY:
            return decoded_batches(self.in_memory, self.stream.plan(0))
        if rung in (WARM, LOADER):
            return self._loaded()
        if rung == COLD:
            return self._dropping(self._loaded())
        batch = self.one_batch if rung == ONE_BATCH else self.synthetic
        return (same for same in repeat(batch))

    def _loaded(self) -> Generator[Batch]:
        self.loader.load_state_dict(self.loader.state_dict() | {"position": 0})
        yield from self.loader

    def _dropping(self, batches: Generator[Batch]) -> Generator[Batch]:
        """`batches`; drops the files after each pass over them, so that the next one is cold."""
        since_dropped = 0
        with closing(batches):
            for batch in batches:
                since_dropped += len(batch.samples) * self.run.world.world_size
                if since_dropped >= self.stream.samples:
                    if self.run.world.local_rank == 0:
                        drop(self.files)
                    since_dropped = 0
                yield batch

    def _read(self, steps: int) -> None:
        source, plan = self.stream.context, self.stream.plan(0)
        ahead = source.config.prefetch + source.config.read_ahead + 1
        watch = StallWatchdog(source.config.stall_timeout, source.rank)
        with closing(ShardReader(source.index, verify=False, watchdog=watch)) as reader:
            for step in range(steps + ahead):
                reader.read(plan.batch_at(step).samples)


def open_inputs(run: TrainingRun) -> Inputs:
    """Inputs for the world and the global batch size of `run`."""
    settings, world, dataset = run.settings, run.world, run.data.dataset
    assert dataset is not None
    global_batch_size = settings.recipe.global_batch_size
    stream = TrainStream(
        dataset,
        settings.pipeline,
        global_batch_size=global_batch_size,
        device=world.device,
        rank=world.rank,
        world_size=world.world_size,
    )
    loader = train_batches(
        run.data,
        settings.pipeline,
        world,
        global_batch_size=global_batch_size,
        position=0,
        end_position=None,
    )
    one_batch = _first(loader)
    index = stream.context.index
    paths = [index.directory / shard.name for shard in index.split.shards]
    return Inputs(
        run=run,
        loader=loader,
        stream=stream,
        in_memory=InMemorySource(**vars(stream.context)),
        one_batch=one_batch,
        synthetic=_random_like(one_batch),
        files=[path for path in paths if path.exists()],
    )


def _first(loader: Loader) -> Batch:
    """A copy of the first batch: DALI reuses its memory."""
    with closing(iter(loader)) as batches:  # type: ignore[type-var]
        batch = next(batches)
        return Batch(batch.images.clone(), batch.targets.clone(), batch.samples)


def _random_like(batch: Batch) -> Batch:
    """A synthetic batch of the same size, with the targets of `batch`, which fit the task."""
    loader = synthetic_loader(
        batch_size=len(batch.samples),
        image_size=batch.images.shape[-1],
        classes=1,
        device=batch.images.device,
    )
    return Batch(next(iter(loader)).images, batch.targets, batch.samples)

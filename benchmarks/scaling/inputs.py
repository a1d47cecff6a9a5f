"""What the trainer's loop takes on each rung of the stall ladder, on one rank of one world."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch.nn.parallel import DistributedDataParallel

from benchmarks.measuring.page_cache import drop
from benchmarks.scaling.in_memory import InMemorySource
from benchmarks.scaling.record import APART, COLD, IN_STEP, LOADER, MEMORY, REPLAYED, WARM
from pipeline.batches import Batch, decoded_batches
from pipeline.build import TrainStream
from pipeline.loader import Loader
from pipeline.plan.step_groups import max_lookahead
from pipeline.storage.reader import ShardReader
from pipeline.synthetic import synthetic_loader
from pipeline.watchdog import StallWatchdog
from trainer.data import train_batches
from trainer.setup import TrainingRun

# The rungs that the loader's threads work on.
LOADED = (MEMORY, WARM, COLD, LOADER)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Each opening begins at position 0: all runs of a rung see the same samples.

    Attributes:
        loader: the trainer's own.
        stream: what that is made from.
        held: the same stream's source, with encoded images in memory.
        replayed: the loader's first batch; `synthetic` has its shape.
        files: the split's tars that lie on this machine.
    """

    job: TrainingRun
    loader: Loader
    stream: TrainStream
    held: InMemorySource
    replayed: Batch
    synthetic: Batch
    files: list[Path]

    @property
    def ahead(self) -> int:
        """The most steps that the loader is ahead."""
        config = self.job.settings.pipeline
        return max_lookahead(config.prefetch, config.read_ahead, self.group)

    @property
    def group(self) -> int:
        """Steps that come from the loader at once."""
        return self.stream.context.group

    @contextmanager
    def open(self, rung: str) -> Iterator[Iterator[Batch]]:
        """Endless batches; the loader's threads and files are freed at the end."""
        with closing(self._batches(rung)) as batches:
            yield batches

    def prepare(self, rung: str, steps: int) -> None:
        """Let the page cache forget the files, or hold what so many steps will read."""
        if rung == COLD:
            drop(self.files)
        elif rung in (WARM, LOADER):
            self._read(steps)

    @contextmanager
    def exchanging(self, rung: str) -> Iterator[None]:
        """Ranks exchange gradients, but on the rungs that they work apart on."""
        model = self.job.update.model
        if rung in (APART, IN_STEP) and isinstance(model, DistributedDataParallel):
            with model.no_sync():
                yield
        else:
            yield

    def _batches(self, rung: str) -> Generator[Batch]:
        if rung == MEMORY:
            return decoded_batches(self.held, self.stream.plan(0))
        if rung in (WARM, LOADER):
            return self._loaded()
        if rung == COLD:
            return self._dropping(self._loaded())
        return _again(self.replayed if rung == REPLAYED else self.synthetic)

    def _loaded(self) -> Generator[Batch]:
        self.loader.load_state_dict(self.loader.state_dict() | {"position": 0})
        yield from self.loader

    def _dropping(self, batches: Generator[Batch]) -> Generator[Batch]:
        """The batches; files are dropped after each pass, which would find them warm."""
        since_dropped = 0
        with closing(batches):
            for batch in batches:
                since_dropped += len(batch.samples) * self.job.world.world_size
                if since_dropped >= self.stream.samples:
                    if self.job.world.local_rank == 0:
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


def open_inputs(job: TrainingRun) -> Inputs:
    """For the world and the global batch of `job`."""
    settings, world, dataset = job.settings, job.world, job.data.dataset
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
        job.data,
        settings.pipeline,
        world,
        global_batch_size=global_batch_size,
        position=0,
        end_position=None,
    )
    replayed = _first(loader)
    index = stream.context.index
    paths = [index.directory / shard.name for shard in index.split.shards]
    return Inputs(
        job=job,
        loader=loader,
        stream=stream,
        held=InMemorySource(**vars(stream.context)),
        replayed=replayed,
        synthetic=_random_like(replayed),
        files=[path for path in paths if path.exists()],
    )


def _first(loader: Loader) -> Batch:
    """A copy of the first batch: DALI uses its memory again."""
    with closing(iter(loader)) as batches:  # type: ignore[type-var]
        batch = next(batches)
        return Batch(batch.images.clone(), batch.targets.clone(), batch.samples)


def _random_like(batch: Batch) -> Batch:
    """The synthetic loader's images at the batch's size, with its targets, which fit the task."""
    loader = synthetic_loader(
        batch_size=len(batch.samples),
        image_size=batch.images.shape[-1],
        classes=1,
        device=batch.images.device,
    )
    return Batch(next(iter(loader)).images, batch.targets, batch.samples)


def _again(batch: Batch) -> Generator[Batch]:
    while True:
        yield batch

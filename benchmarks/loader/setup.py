"""The shards, the device and the report that all measurements of a loader share."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from benchmarks.loader.config import BATCH_SIZE, LoaderBenchmark
from benchmarks.loader.gpu_decoder_utilization import DecoderUtilization, uuid_of
from benchmarks.loader.stages import Opener, load
from benchmarks.loader.timed_batches import COLUMNS, TimedBatches
from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.table import ColumnFormats, figure_columns, report
from pipeline.build import group_steps, train_loader
from pipeline.config import PipelineConfig, open_dataset
from pipeline.errors import MisuseError
from pipeline.fold_index import open_index
from pipeline.limits.memory import available_bytes
from pipeline.loader import Loader
from pipeline.plan.decode_groups import max_lookahead
from pipeline.sizes import resolve_sizes
from pipeline.storage.dataset import Dataset, SplitIndex

# The first read-ahead hardly affects a split of this multiple of its size.
_MANY_LOOKAHEADS = 4
_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Setup:
    """`fits_in_page_cache`: of the split at the start; `decoder_utilization` samples the GPU's
    decoders while the setup is open."""

    benchmark: LoaderBenchmark
    config: PipelineConfig
    dataset: Dataset
    index: SplitIndex
    device: torch.device
    fits_in_page_cache: bool
    decoder_utilization: DecoderUtilization

    def loader(self, config: PipelineConfig, batch_size: int) -> Loader:
        return train_loader(
            self.dataset,
            config,
            global_batch_size=batch_size,
            device=self.device,
            split=self.benchmark.split,
        )

    def time_batches(
        self, opener: Opener, config: PipelineConfig, batch_size: int, *, cold: bool = False
    ) -> TimedBatches:
        """A candidate."""
        group = group_steps(self.dataset, config, self.device, batch_size)
        prepared = max_lookahead(config.prefetch, config.read_ahead, group)
        batches = len(self.index) / batch_size
        if cold and batches / prepared < _MANY_LOOKAHEADS:
            # All of so few samples have been read ahead before the files are dropped.
            prepared = math.ceil(batches)
        return TimedBatches(
            open=opener,
            seconds=self.benchmark.seconds,
            stored_bytes=self.index.samples["size"],
            batch_size=batch_size,
            prepared=prepared,
            group=group,
            device=self.device,
            decoder_utilization=self.decoder_utilization,
            cold=self.files if cold else (),
        )

    def time_loader(self, config: PipelineConfig, batch_size: int | None = None) -> TimedBatches:
        """A candidate: the full loader, by default with --batch-size."""
        size = batch_size or self.benchmark.batch_size
        loader = self.loader(config, size)
        return self.time_batches(lambda position: load(loader, position), config, size)

    @property
    def ranks(self) -> int:
        """Number of ranks of a training on this machine: one for each GPU."""
        return torch.cuda.device_count() if self.device.type == "cuda" else 1

    @property
    def files(self) -> list[Path]:
        """The tars of the split that are local."""
        paths = (self.index.directory / shard.name for shard in self.index.split.shards)
        return [path for path in paths if path.exists()]

    @property
    def split_bytes(self) -> int:
        return _bytes_of(self.index)

    @property
    def image_size_px(self) -> int:
        return resolve_sizes(self.config, self.dataset.manifest).image_size_px

    def report(
        self,
        label: str,
        rows: Sequence[Measurement],
        figures: Mapping[str, Mapping[str, float | None]],
        *,
        kind: str,
        finding: str,
        facts: Mapping[str, Any] = _EMPTY,
        formats: ColumnFormats = COLUMNS,
        columns: Mapping[str, Mapping[str, str]] = _EMPTY,
        ratios: bool = False,
        notes: Sequence[str] = (),
    ) -> None:
        """``measuring.table.report`` with the facts and warnings of every measurement of a
        loader."""
        report(
            f"{label}: {len(self.index):,} samples of {self.config.shards} at "
            f"{self.image_size_px} px, batch {self.benchmark.batch_size}, "
            f"{self.config.resolved_threads} threads, {self.device.type}",
            "images/s",
            rows,
            kind=kind,
            facts={**self._facts(), "figures": figures, **facts},
            columns={**columns, **figure_columns(figures, formats)},
            ratios=ratios,
            notes=[*self._warnings(), *notes],
            finding=finding,
            output=self.benchmark.output,
        )

    def _facts(self) -> dict[str, Any]:
        return {
            "device": str(self.device),
            "threads": self.config.resolved_threads,
            "image_size_px": self.image_size_px,
            "settings": asdict(self.benchmark) | asdict(self.config),
            "dataset": self.dataset.fingerprint,
            "split_bytes": self.split_bytes,
            "fits_in_page_cache": self.fits_in_page_cache,
        }

    def _warnings(self) -> list[str]:
        if self.fits_in_page_cache:
            return []
        return [
            f"The {self.split_bytes / 2**30:,.1f} GiB of {self.benchmark.split} don't fit into the "
            f"page cache: most files are cold in training, so figures of warm files are too high."
        ]


@contextmanager
def open_setup(benchmark: LoaderBenchmark, config: PipelineConfig) -> Iterator[Setup]:
    """Raises ``MisuseError`` for a batch size above the number of samples; the default is lowered
    to it."""
    dataset = open_dataset(config)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    index = open_index(dataset, config, benchmark.split)
    if benchmark.batch_size > len(index):
        if benchmark.batch_size != BATCH_SIZE:
            raise MisuseError(
                f"--batch-size {benchmark.batch_size} is more than the {len(index):,} samples of "
                f"split {benchmark.split}: give at most {len(index)}."
            )
        benchmark = replace(benchmark, batch_size=len(index))
    with DecoderUtilization(uuid_of(device)) as utilization:
        yield Setup(
            benchmark=benchmark,
            config=config,
            dataset=dataset,
            index=index,
            device=device,
            # Available memory includes the page cache.
            fits_in_page_cache=_bytes_of(index) <= available_bytes(),
            decoder_utilization=utilization,
        )


def _bytes_of(index: SplitIndex) -> int:
    return sum(shard.bytes for shard in index.split.shards)

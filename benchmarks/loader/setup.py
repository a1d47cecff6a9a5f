"""What all measurements of a loader need: the shards, the device, and what it is called."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.loader.config import LoaderBenchmark
from benchmarks.loader.gpu_decoder_utilization import DecoderUse
from benchmarks.loader.stages import Opener, loaded
from benchmarks.loader.timed_batches import TimedBatches
from pipeline.build import group_steps, train_loader
from pipeline.config import PipelineConfig, open_dataset, resolve_sizes
from pipeline.loader import Loader
from pipeline.machine import available_bytes
from pipeline.plan.step_groups import max_lookahead
from pipeline.storage.dataset import Dataset, SplitIndex

# Passes of read-ahead in a split from which on its first one hardly counts.
_MANY = 4


@dataclass(frozen=True, kw_only=True)
class Setup:
    """`use` samples the GPU's decoders for as long as the setup is open."""

    benchmark: LoaderBenchmark
    config: PipelineConfig
    dataset: Dataset
    index: SplitIndex
    device: torch.device
    use: DecoderUse

    def loader(self, config: PipelineConfig, batch_size: int) -> Loader:
        return train_loader(
            self.dataset,
            config,
            global_batch_size=batch_size,
            device=self.device,
            split=self.benchmark.split,
        )

    def draws(
        self, opener: Opener, config: PipelineConfig, batch_size: int, *, cold: bool = False
    ) -> TimedBatches:
        cuda = self.device.type == "cuda"
        return TimedBatches(
            open=opener,
            seconds=self.benchmark.seconds,
            stored_bytes=self.index.samples["size"],
            prepared=self._prepared(config, batch_size, cold),
            group=self._group(config, batch_size),
            synchronize=torch.cuda.synchronize if cuda else torch.cpu.synchronize,
            decoder_use=self.use,
            cold=self.files if cold else (),
        )

    def whole(self, config: PipelineConfig, batch_size: int) -> TimedBatches:
        """The whole loader as a contender."""
        loader = self.loader(config, batch_size)
        return self.draws(lambda position: loaded(loader, position), config, batch_size)

    def _group(self, config: PipelineConfig, batch_size: int) -> int:
        return group_steps(self.dataset, config, self.device, batch_size)

    def _prepared(self, config: PipelineConfig, batch_size: int, cold: bool) -> int:
        """Batches to be drawn before a lap, since they are no work of it."""
        group = self._group(config, batch_size)
        ready = max_lookahead(config.prefetch, config.read_ahead, group)
        passes = len(self.index) / (batch_size * ready)
        # Of few samples all have been read ahead before they are dropped for the first time.
        return math.ceil(len(self.index) / batch_size) if cold and passes < _MANY else ready

    @property
    def ranks(self) -> int:
        """That a training on this machine has: one for each GPU."""
        return torch.cuda.device_count() if self.device.type == "cuda" else 1

    @property
    def files(self) -> list[Path]:
        """The split's tars that lie on this machine."""
        paths = (self.index.directory / shard.name for shard in self.index.split.shards)
        return [path for path in paths if path.exists()]

    @property
    def split_bytes(self) -> int:
        return sum(shard.bytes for shard in self.index.split.shards)

    @property
    def image_size_px(self) -> int:
        return resolve_sizes(self.config, self.dataset.manifest).image_size_px

    @property
    def title(self) -> str:
        return (
            f"{len(self.index):,} samples at {self.image_size_px} px, "
            f"batch {self.benchmark.batch_size}, {self.config.resolved_threads} threads, "
            f"{self.device.type}"
        )

    def facts(self) -> dict[str, Any]:
        return {
            "device": str(self.device),
            "threads": self.config.resolved_threads,
            "image_size_px": self.image_size_px,
            "settings": asdict(self.benchmark) | asdict(self.config),
            "dataset": self.dataset.fingerprint,
            "split_bytes": self.split_bytes,
            # What is free for programs counts the pages of files, which they may take.
            "fits_in_page_cache": self.split_bytes <= available_bytes(),
        }

    def warnings(self, facts: Mapping[str, Any]) -> list[str]:
        """What makes the figures less than they seem."""
        if facts["fits_in_page_cache"]:
            return []
        return [
            f"The {self.split_bytes / 2**30:,.1f} GiB of {self.benchmark.split} don't fit into the "
            f"page cache: in training most files are cold, whatever warm ones give."
        ]


@contextmanager
def open_setup(benchmark: LoaderBenchmark, config: PipelineConfig) -> Iterator[Setup]:
    dataset = open_dataset(config)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    uuid = None
    if device.type == "cuda":
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    index = dataset.split(benchmark.split)
    with DecoderUse(uuid) as use:
        yield Setup(
            benchmark=benchmark,
            config=config,
            dataset=dataset,
            index=index,
            device=device,
            use=use,
        )

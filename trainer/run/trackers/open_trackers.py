"""Opens the trackers of a run."""

from trainer.log_config import LogConfig
from trainer.run.trackers.background import BackgroundSink
from trainer.run.trackers.mlflow import Mlflow
from trainer.run.trackers.sink import Sink, TrackedRun
from trainer.run.trackers.tensorboard import TensorBoard
from trainer.run.trackers.wandb import Wandb


def open_trackers(config: LogConfig, run: TrackedRun) -> list[Sink]:
    """Those that `config` asks for."""
    sinks: list[Sink] = []
    if config.tensorboard:
        sinks.append(TensorBoard(run))
    if config.wandb:
        sinks.append(BackgroundSink(Wandb(run), run))
    if config.mlflow:
        sinks.append(BackgroundSink(Mlflow(run), run))
    return sinks

"""The numbers of metrics.jsonl for TensorBoard, against positions."""

from pathlib import Path

from trainer.run.metrics_reader import Record

TENSORBOARD_NAME = "tensorboard"


class TensorBoard:
    """Event files in a folder of the run's; what lies beyond `position` is hidden there, as it is
    dropped from metrics.jsonl."""

    def __init__(self, directory: Path, *, position: int) -> None:
        # Takes a second, and is an extra.
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(directory / TENSORBOARD_NAME, purge_step=position + 1)

    def write(self, record: Record) -> None:
        """Add each number of `record` as kind/name, at its position and time."""
        for name, value in record.items():
            if name not in ("time", "position") and isinstance(value, int | float):
                self._writer.add_scalar(
                    f"{record['kind']}/{name}",
                    value,
                    global_step=record["position"],
                    walltime=record["time"],
                )
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

"""metrics.jsonl of runs that never were."""

import json
from pathlib import Path

from trainer.run.metrics_reader import Record


def records(*, seconds: float, top1: float | None = None, steps: int = 20) -> list[Record]:
    """16 samples an epoch, 8 a step of `seconds`, a fifth of it waiting; evaluated each epoch."""
    found: list[Record] = []
    for step in range(1, steps + 1):
        where = {"position": 8 * step, "epoch": step / 2, "elapsed_seconds": seconds * step}
        where |= {"process": 2 * step // steps, "images": 8, "seconds": seconds}
        where |= {"data_seconds_max": seconds / 5, "loss": 4.0 / step, "learning_rate": 0.1}
        where |= {"memory_bytes": 2**20, "bad_samples": 0}
        found.append({"kind": "train", **where})
        if top1 and step % 2 == 0:
            found.append({**where, "kind": "evaluation", "top1": top1 * step / steps, "loss": 0.5})
    return found


def write(folder: Path, lines: list[Record]) -> Path:
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder

"""Made-up metrics.jsonl files."""

import json
from pathlib import Path

from trainer.run.metrics_reader import Record


def records(*, seconds: float, top1: float | None = None, steps: int = 20) -> list[Record]:
    """Records of a run with 16 samples per epoch, 8 per step, evaluated after each epoch.

    A step takes `seconds`, a fifth of it waiting for data.
    """
    run: list[Record] = []
    for step in range(1, steps + 1):
        common = {"position": 8 * step, "epoch": step / 2, "elapsed_seconds": seconds * step}
        common |= {"process": 2 * step // steps, "images": 8, "seconds": seconds}
        common |= {"data_seconds_max": seconds / 5, "loss": 4.0 / step, "learning_rate": 0.1}
        common |= {"memory_bytes": 2**20, "bad_samples": 0}
        run.append({"kind": "train", **common})
        if top1 and step % 2 == 0:
            run.append({**common, "kind": "evaluation", "top1": top1 * step / steps, "loss": 0.5})
    return run


def write(folder: Path, lines: list[Record]) -> Path:
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder

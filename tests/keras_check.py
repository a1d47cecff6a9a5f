"""Run by test_keras.py where Keras is: ``python -m tests.keras_check BACKEND SHARDS FOLDER``.

The network is the trainer's, weight for weight: prints the losses of the same steps by both, and
what else there is to compare, as one line of JSON.
"""

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.keras.framework import keras_job
from trainer.config import Settings
from trainer.distributed import World
from trainer.job import Job, prepare
from trainer.train import training_batches, training_steps

STEPS = 3
WORLD = World(device=torch.device("cpu"))


def job_of(shards: str, folder: Path, **values: Any) -> Job:
    plain = {"shards": shards, "precision": "fp32", "threads": 1, "global_batch_size": 8}
    return prepare(Settings.of(**{**plain, **values}, out=str(folder)), WORLD)


def losses(job: Job) -> list[float]:
    with training_batches(job) as batches:
        records = itertools.islice(training_steps(job, batches), STEPS)
        return [record.loss.item() for record in records]


def compared(shards: str, folder: Path, backend: str, **values: Any) -> dict[str, Any]:
    """Losses of both, and the largest difference of what their weights say of the same images."""
    ours, theirs = job_of(shards, folder, **values), job_of(shards, folder, **values)
    keras = keras_job(theirs, backend=backend, feed="shardline")
    found: dict[str, Any] = {"torch": losses(ours), "keras": losses(keras)}
    ours.model.network.load_state_dict(keras.model.network.state_dict())
    batch = next(iter(training_batches(ours)))
    ours.model.eval()
    with torch.no_grad():
        logits = ours.model(batch.images), keras.model(batch.images)
    found["logits"] = (logits[0] - logits[1]).abs().max().item() / logits[0].abs().max().item()
    return found


def tf_data(shards: str, folder: Path) -> dict[str, Any]:
    """The batches of tf.data beside the loader's."""
    ours = job_of(shards, folder, model="resnet18")
    theirs = keras_job(ours, backend="tensorflow", feed="tf.data")
    differences, same = [], True
    with training_batches(ours) as left, training_batches(theirs) as right:
        for ours_batch, theirs_batch in itertools.islice(zip(left, right, strict=False), STEPS):
            same &= ours_batch.targets.equal(theirs_batch.targets)
            same &= bool((ours_batch.samples == theirs_batch.samples).all())
            differences.append(ours_batch.images.int() - theirs_batch.images.int())
    levels = torch.cat(differences).abs().float()
    return {"same_samples": same, "mean": levels.mean().item(), "largest": levels.max().item()}


def main(backend: str, shards: str, folder: str) -> None:
    out = Path(folder)
    found: dict[str, Any] = {}
    if backend == "torch":
        found["steps"] = compared(shards, out, backend, model="resnet18")
    else:
        found["steps"] = compared(shards, out, backend, model="resnet50")
        found["tf.data"] = tf_data(shards, out)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])

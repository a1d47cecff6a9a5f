"""Compare Keras with the trainer: ``python -m tests.helpers.keras_check BACKEND SHARDS FOLDER``.

test_keras.py runs it in the virtualenv of Keras, by torchrun on two ranks for TensorFlow. It prints
the losses of the same steps by both, and other figures to compare, as one line of JSON. The ResNets
are short: TensorFlow takes seconds to trace a block.
"""

import itertools
import json
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

import trainer.run_model
from benchmarks.keras.run import use_keras
from trainer.config import Settings
from trainer.distributed.collectives import World
from trainer.distributed.process_group import open_world
from trainer.model.build import Classifier
from trainer.model.sources.source import ModelSource, NetworkSpec
from trainer.setup import build_run
from trainer.stopping import StopSignal
from trainer.train import training_batches, training_steps
from trainer.training_run import TrainingRun

STEPS = 3
# With the threads of one of two ranks: TensorFlow can't change them later.
ALONE = World(device=torch.device("cpu"), local_world_size=2)

# With the shortcut that a block of another shape has, and without.
BLOCKS = {"resnet18": (BasicBlock, [2, 1, 1, 1]), "resnet50": (Bottleneck, [2, 1, 1, 1])}


def build_short(
    source: ModelSource, spec: NetworkSpec, *, mean: Any, std: Any, seed: int, **_: Any
) -> Classifier:
    """In place of ``trainer.model.build.build_model``."""
    torch.manual_seed(seed)
    block, numbers = BLOCKS[source.name]
    return Classifier(ResNet(block, numbers, num_classes=spec.classes), mean=mean, std=std)


def build(shards: str, folder: Path, world: World, **values: Any) -> TrainingRun:
    plain = {"shards": shards, "precision": "fp32", "threads": 1, "global_batch_size": 16}
    return build_run(Settings.from_options(**{**plain, **values}, out=str(folder)), world)


def losses(run: TrainingRun) -> list[float]:
    with training_batches(run) as batches:
        records = itertools.islice(training_steps(run, batches), STEPS)
        return [record.loss.item() for record in records]


def compare(shards: str, folder: Path, backend: str, world: World, model: str) -> dict[str, Any]:
    """Losses of both, and the largest difference of their logits at the same weights."""
    ours, theirs = (build(shards, folder, world, model=model) for _ in range(2))
    keras = use_keras(theirs, backend=backend, feed="shardline")
    figures: dict[str, Any] = {"torch": losses(ours), "keras": losses(keras)}
    ours.model.network.load_state_dict(keras.model.network.state_dict())
    batch = next(iter(training_batches(ours)))
    ours.model.eval()
    with torch.no_grad():
        logits = ours.model(batch.images), keras.model(batch.images)
    figures["logits"] = (logits[0] - logits[1]).abs().max().item() / logits[0].abs().max().item()
    return figures


def tf_data(shards: str, folder: Path) -> dict[str, Any]:
    """Differences between the batches of tf.data and those of the loader."""
    ours = build(shards, folder, ALONE, model="resnet18")
    theirs = use_keras(ours, backend="tensorflow", feed="tf.data")
    differences, same = [], True
    with training_batches(ours) as loader, training_batches(theirs) as tf_data_loader:
        for ours_batch, theirs_batch in itertools.islice(
            zip(loader, tf_data_loader, strict=False), STEPS
        ):
            same &= ours_batch.targets.equal(theirs_batch.targets)
            same &= bool((ours_batch.samples == theirs_batch.samples).all())
            differences.append(ours_batch.images.int() - theirs_batch.images.int())
    levels = torch.cat(differences).abs().float()
    return {"same_samples": same, "mean": levels.mean().item(), "largest": levels.max().item()}


def main(backend: str, shards: str, folder: str) -> None:
    trainer.run_model.build_model = build_short
    if backend == "torch":
        print(json.dumps([compare(shards, Path(folder), backend, ALONE, "resnet50")]))
        return
    with open_world("cpu") as world, StopSignal() as stop:
        both = compare(shards, Path(folder, "both"), backend, world, "resnet18")
        signal.raise_signal(signal.SIGTERM)
        figures = [{**both, "received": stop.number}]
        # Each rank does one of the checks of a single rank.
        rank_folder = Path(folder, str(world.rank))
        if world.rank == 0:
            figures.append(tf_data(shards, rank_folder))
        else:
            figures.append(compare(shards, rank_folder, backend, ALONE, "resnet18"))
        gathered = world.all_gather_objects([figures])
    if world.rank == 0:
        print(json.dumps([check for checks in gathered for check in checks]))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A training run of the trainer with Keras's steps and, optionally, the input of tf.data."""

from dataclasses import replace

from benchmarks.keras.backends import open_backend
from benchmarks.keras.limits import check_settings
from pipeline.errors import MisuseError
from trainer.training_run import TrainingRun


def use_keras(run: TrainingRun, *, backend: str, feed: str) -> TrainingRun:
    """`run` with steps of Keras on `backend`, "tensorflow" or "torch", and batches of `feed`,
    "shardline" or "tf.data".

    Raises ``MisuseError`` for unsupported settings.
    """
    if backend == "torch" and feed == "tf.data":
        raise MisuseError("--feed tf.data needs --backend tensorflow.")
    if backend == "torch" and run.world.world_size > 1:
        raise MisuseError("--backend torch supports one rank only: give --backend tensorflow.")
    if run.world.device.type != "cpu":
        raise MisuseError("Keras trains on the CPU only: give --device cpu.")
    dataset = run.data.dataset
    check_settings(run.settings, task=dataset.manifest.task if dataset else "classification")
    opened = open_backend(backend, run.world)

    # Importing keras reads its backend from the environment.
    from benchmarks.keras.train_step import with_keras_steps

    run = with_keras_steps(run, opened)
    if feed == "shardline":
        return run
    from benchmarks.keras.tf_feed import tf_batches

    return replace(run, open_batches=tf_batches)

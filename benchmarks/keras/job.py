"""A job of the trainer's, computed and fed by others."""

from dataclasses import replace

from benchmarks.keras.backends import open_exchange
from benchmarks.keras.limits import check_settings
from pipeline.errors import MisuseError
from trainer.setup import TrainingRun


def keras_job(job: TrainingRun, *, backend: str, feed: str) -> TrainingRun:
    """`job` with Keras's steps on `backend`, "tensorflow" or "torch", fed by "shardline" or
    "tf.data".

    Raises ``MisuseError`` for what can't be.
    """
    if backend == "torch" and feed == "tf.data":
        raise MisuseError("--feed tf.data goes with --backend tensorflow: one process loads one.")
    if backend == "torch" and job.world.world_size > 1:
        raise MisuseError("--backend torch is for one rank here; tensorflow takes several.")
    if job.world.device.type != "cpu":
        raise MisuseError("Keras trains on the CPU here: give --device cpu.")
    dataset = job.data.dataset
    check_settings(job.settings, task=dataset.manifest.task if dataset else "classification")
    exchange = open_exchange(backend, job.world)

    # Keras takes its backend from the environment when it is loaded.
    from benchmarks.keras.train_step import with_keras

    keras = with_keras(job, exchange)
    if feed == "shardline":
        return keras
    from benchmarks.keras.tf_feed import tf_batches

    return replace(keras, open_batches=tf_batches)

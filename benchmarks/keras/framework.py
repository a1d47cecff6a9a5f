"""A job of the trainer's, computed and fed by others."""

from dataclasses import replace

from benchmarks.keras.exchange import open_exchange
from pipeline.errors import MisuseError
from trainer.job import Job


def keras_job(job: Job, *, backend: str, feed: str) -> Job:
    """`job` with Keras's steps on `backend`, "tensorflow" or "torch", fed by "shardline" or
    "tf.data".

    Raises ``MisuseError`` for what can't be.
    """
    if backend == "torch" and feed == "tf.data":
        raise MisuseError("--feed tf.data goes with --backend tensorflow: one process loads one.")
    if backend == "torch" and job.world.world_size > 1:
        raise MisuseError("--backend torch is for one rank here; tensorflow takes several.")
    exchange = open_exchange(backend, job.world)

    # Keras takes its backend from the environment when it is loaded.
    from benchmarks.keras.update import with_keras

    keras = with_keras(job, exchange)
    if feed == "shardline":
        return keras
    from benchmarks.keras.tf_feed import tf_batches

    return replace(keras, open_batches=tf_batches)

"""Keras in the trainer's own run: ``python -m benchmarks.keras``.

The steps are Keras's (``train_on_batch``), of the network that the trainer would train, weight for
weight; loop, schedule, evaluations, checkpoints and what is written of the run are the trainer's.
A run that goes on from a checkpoint begins with Keras's momentum at 0.
"""

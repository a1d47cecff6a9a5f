"""The trainer with training steps of Keras: ``python -m benchmarks.keras``.

Keras takes the step (``train_on_batch``) of the same network with the same weights; loop, schedule,
evaluation, checkpoints and logs are the trainer's. A resumed run starts with Keras's momentum at 0.
"""

"""What a GPU has to show, in parts: tests, decoders, steps, trainings and the loader."""

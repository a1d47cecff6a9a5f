"""bench-scaling: where the time of a step goes as ranks are added."""

"""bench-study: trainings with several numbers of ranks, frameworks and seeds."""

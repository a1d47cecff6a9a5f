"""bench-study: trainings to the end, at several numbers of ranks, from several seeds."""

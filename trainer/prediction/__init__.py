"""Predictions of trained runs for a split or for image files, and the files they are written to."""

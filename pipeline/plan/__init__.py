"""What each batch holds: pure functions of seed and position."""

"""Ranks: the process group, its collectives, DDP, and how they exit."""

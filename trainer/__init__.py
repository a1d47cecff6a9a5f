"""Trains models on shards, on one or several ranks."""

from pipeline.interrupts import handle_interrupts

handle_interrupts()

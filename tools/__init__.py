"""Converts downloads to shards, checks and shows them."""

from pipeline.interrupts import handle_interrupts

handle_interrupts()

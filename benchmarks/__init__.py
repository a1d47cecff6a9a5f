"""Measures where the time goes."""

from pipeline.interrupts import handle_interrupts

handle_interrupts()

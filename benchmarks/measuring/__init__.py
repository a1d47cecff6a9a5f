"""How every benchmark measures: alternating runs, medians with intervals, one result file."""

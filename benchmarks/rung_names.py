"""The loader's rungs as tables and bundles call them; ``benchmarks.rungs`` says what they are."""

READ, DECODE, AUGMENT, HAND_OVER, FULL = RUNGS = (
    *("read bytes", "+ decode", "+ augment", "+ hand-over"),
    "full",
)
# Those that are measured from cold files, too.
COLD = {name: f"{name}, cold files" for name in (READ, FULL)}

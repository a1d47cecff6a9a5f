"""Options of ``python -m trainer --find-lr``."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import MisuseError
from pipeline.options import Bounds, Options, setting
from trainer.config import RunConfig
from trainer.run.run_dir import find_run_file


@dataclass(frozen=True, kw_only=True)
class FindLrConfig(Options):
    """Whether to find a learning rate, and in how many steps."""

    find_lr: bool = setting(
        False,
        "Suggest a --learning-rate instead of training: make a few steps with a rising rate and "
        "draw the loss into find_lr.png. Give all other options as for the training.",
        section="Learning rate",
    )
    find_lr_steps: int | None = setting(
        None, "Most steps of --find-lr.  [default: 100]", Bounds(low=20), only_with="--find-lr"
    )

    @property
    def steps(self) -> int:
        """Most steps of the test, with the default filled in: fewer give too few losses at the
        useful rates, also on small data."""
        return 100 if self.find_lr_steps is None else self.find_lr_steps


def require_no_run(run: RunConfig) -> None:
    """Raise ``MisuseError`` if --find-lr would resume a run, or write into the directory of one."""
    if run.resume not in ("auto", "never"):
        raise MisuseError(f"--find-lr begins with new weights: omit --resume {run.resume}.")
    if run.out and (name := find_run_file(Path(run.out))):
        raise MisuseError(
            f"--out {run.out} holds a run ({name}), which --find-lr does not touch: give another "
            f"--out."
        )

"""Options of ``python -m trainer --find-lr``."""

from dataclasses import dataclass

from pipeline.errors import MisuseError
from pipeline.options import Bounds, Options, setting


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
        None, "Most steps of --find-lr.  [default: 100]", Bounds(low=20)
    )

    @property
    def steps(self) -> int:
        """Most steps of the test, with the default filled in: fewer give too few losses at the
        useful rates, also on small data."""
        return 100 if self.find_lr_steps is None else self.find_lr_steps

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.find_lr_steps is not None and not self.find_lr:
            raise MisuseError(
                f"--find-lr-steps {self.find_lr_steps} is an option of --find-lr: add it, or omit "
                f"both."
            )

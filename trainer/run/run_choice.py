"""Options that choose runs, a checkpoint of each, and a device. Needs no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from pipeline.errors import MisuseError
from pipeline.options import Options, setting
from trainer.model.sources.stored_file import Trust, trust_of

# torchrun takes --run for an option of its own, so runs may also be given as arguments.
run_arguments = click.argument("runs", nargs=-1, metavar="[RUN]...")


@dataclass(frozen=True, kw_only=True)
class RunChoice(Options):
    """Which checkpoint of which runs is used, and which code may be executed for it."""

    run: tuple[str, ...] = setting(
        (),
        "Directory of a run: --out of the trainer. Repeat it for several runs. Under torchrun "
        "give the directories without --run.",
        metavar="DIR",
    )
    checkpoint: str | None = setting(
        None,
        "Checkpoint: the name of a file in the run, or a path, which also gives the run.  "
        "[default: best.pt, or the newest without one]",
        metavar="NAME_OR_PATH",
    )
    model: tuple[str, ...] = setting(
        (),
        "File of a model of your own that a run was trained with. It is executed if it is the "
        "same file. Repeat it for several files.",
        metavar="FILE.py",
    )
    trust_model: bool = setting(
        False,
        "Execute the copies of such files that the runs hold. Only for runs of people whom you "
        "trust.",
    )

    @property
    def trust(self) -> Trust:
        """The code that may be executed; raises ``MisuseError`` as ``trust_of`` does."""
        return trust_of(self.model, stored=self.trust_model)

    @property
    def directories(self) -> list[Path]:
        """The directory of each run; raises ``MisuseError`` without any."""
        # Each run once, however it is written.
        by_path: dict[Path, str] = {}
        for name in self.run:
            by_path.setdefault(Path(name).resolve(), name)
        names = list(by_path.values())
        path = self.checkpoint and Path(self.checkpoint)
        if not path or path.name == self.checkpoint:
            if not names:
                raise MisuseError("Give the directory of a run, as in --run runs/x.")
            return [Path(name) for name in names]
        if len(names) > 1:
            raise MisuseError(
                f"--checkpoint {path} is one file, but {len(names)} runs are given: give the name "
                f"of a file that each of them has, such as best.pt."
            )
        return [Path(name) for name in names] or [path.parent]


@dataclass(frozen=True, kw_only=True)
class RunsOnDevice(RunChoice):
    """Runs, and where they are used."""

    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "auto: one GPU per rank if CUDA is available, else the CPU."
    )


def with_arguments(runs: tuple[str, ...], values: dict[str, Any]) -> dict[str, Any]:
    """The options' `values`, with the arguments added to --run."""
    return {**values, "run": (*runs, *values["run"])}

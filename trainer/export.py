"""``python -m trainer.export runs/x --to onnx``: write a trained network as a file that is used
without shardline."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import click

from pipeline.errors import MisuseError
from pipeline.options import Command, options, pick_fields, setting
from trainer.distributed.exit import entry
from trainer.first_checks import check_runs
from trainer.run.run_choice import RunChoice, with_arguments

# Format -> the packages that it needs, which are those of the extra of this name.
PACKAGES = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "torchscript": (),
    "safetensors": ("safetensors",),
}


@dataclass(frozen=True, kw_only=True)
class ExportConfig(RunChoice):
    """Options of the command."""

    run: tuple[str, ...] = setting((), "Directory of the run: --out of the trainer.", metavar="DIR")
    to: Literal["onnx", "torchscript", "safetensors"] = setting(
        None,
        "onnx: for onnxruntime and other engines; torchscript: for torch.jit.load, in Python or "
        "C++; safetensors: the weights alone, for the same network in torchvision or timm.",
        required=True,
    )
    out: str | None = setting(
        None, "File to write.  [default: model.FORMAT in the directory of the run]", metavar="FILE"
    )
    overwrite: bool = setting(False, "Replace --out if it exists.")
    input: Literal["uint8", "float"] = setting(
        "uint8",
        "Images that the exported network takes. uint8: levels from 0 to 255; float: float32 from "
        "0 to 1. It normalizes them itself.",
        only_with="--to onnx|torchscript",
    )
    any_size: bool = setting(
        False,
        "Let the exported network take images of any height and width, if the model does.  "
        "[default: those of the run's --image-size only]",
        only_with="--to onnx|torchscript",
    )

    @property
    def chosen(self) -> tuple[Path, str | None]:
        """The directory of the run, and the checkpoint as --checkpoint gives it. Raises
        ``MisuseError`` unless there is one run."""
        if self.checkpoint is None and len(self.run) == 1 and Path(self.run[0]).is_file():
            return Path(self.run[0]).parent, self.run[0]
        directory, *others = self.directories
        if others:
            raise MisuseError(
                f"{len(others) + 1} runs are given, but a file holds one network: give one run."
            )
        return directory, self.checkpoint

    def out_in(self, directory: Path) -> Path:
        """The file to write for the run in `directory`. Raises ``MisuseError`` if it must not be
        written."""
        out = Path(self.out or directory / f"model.{self.to}")
        if out.is_dir():
            raise MisuseError(f"--out {out} is a folder: give a file.")
        # A run may come from elsewhere, with a link that leads anywhere.
        if (out.exists() or out.is_symlink()) and not self.overwrite:
            raise MisuseError(f"{out} exists: give --overwrite to replace it, or another --out.")
        return out


def require_packages(to: str) -> None:
    """Raise ``MisuseError`` if packages for the format `to` are not installed."""
    missing = [name for name in PACKAGES[to] if find_spec(name) is None]
    if missing:
        raise MisuseError(
            f"--to {to} needs {', '.join(missing)}, which can't be imported: "
            f"pip install -c constraints.txt -e '.[{to}]'"
        )


@click.command(cls=Command)
@click.argument("runs", nargs=-1, metavar="[RUN|CHECKPOINT]")
@options(ExportConfig)
def main(runs: tuple[str, ...], **values: Any) -> None:
    """Write the network of a run, with its best weights, averaged ones if the run has them, as a
    file that other programs read. The file has the names of the classes, and says how images are
    prepared. Before it gets its name, it is compared with the network in torch on images of the
    validation split. Prints a sentence, and facts as JSON in the last line."""
    config = pick_fields(ExportConfig, with_arguments(runs, values))
    directory, checkpoint = config.chosen
    out = config.out_in(directory)
    require_packages(config.to)
    check_runs([directory], checkpoint, config.trust)

    # torch takes seconds to import: neither --help nor an error above waits for it.
    from trainer.exporting.export_run import export_run

    export_run(
        directory,
        checkpoint,
        to=config.to,
        out=out,
        is_float=config.input == "float",
        any_size=config.any_size,
        trust=config.trust,
    )


if __name__ == "__main__":
    entry(main)

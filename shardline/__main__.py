"""``shardline train``, ``shardline bench loader``: every command by one name.

In a folder with a trainer.py of one's own ``python -m trainer`` runs that file, because Python
looks in the current folder first. This command and the processes that it starts don't look there.
"""

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from pipeline.commands import SafeCommand
from pipeline.errors import MisuseError
from trainer.distributed.exit import entry

# Name -> the module whose `main` is the command, and what it does.
COMMANDS = {
    "shard": ("tools.cli", "Convert a Kaggle download of images to shards."),
    "check": ("tools.checking.cli", "Compare every byte of shards with their index."),
    "show": ("tools.showing.cli", "Print and draw what shards hold."),
    "train": ("trainer.__main__", "Train a model on shards, or resume a run."),
    "evaluate": ("trainer.evaluate", "Evaluate a run on a split, class by class."),
    "predict": ("trainer.predict", "Predict a split or image files with a run."),
    "export": ("trainer.export", "Write a network as ONNX, TorchScript or safetensors."),
    "plot": ("trainer.plot", "Draw the curves of runs in one figure."),
}
BENCHMARKS = {
    "loader": ("benchmarks.loader.__main__", "Measure, check or tune the input pipeline."),
    "compute": ("benchmarks.compute.__main__", "Measure training steps without input."),
    "scaling": ("benchmarks.scaling.__main__", "Measure training on several numbers of ranks."),
    "predict": ("benchmarks.predict.__main__", "Predict the speed of more ranks."),
    "report": ("benchmarks.report.__main__", "Collect results and runs in one page."),
    "study": ("benchmarks.study.__main__", "Train every configuration and report."),
    "frameworks": ("benchmarks.frameworks.__main__", "Compare PyTorch with Keras."),
}


class LazyGroup(SafeCommand, click.Group):
    """Commands that are imported when they are called; ``--help`` imports none of them.

    Args:
        modules: name of a command -> its module and the sentence about it in ``--help``.
    """

    def __init__(self, name: str, modules: Mapping[str, tuple[str, str]], **settings: Any) -> None:
        super().__init__(name, **settings)
        self.modules = modules

    def list_commands(self, context: click.Context) -> list[str]:
        return [*self.modules, *self.commands]

    def resolve_command(
        self, context: click.Context, words: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(context)
        if words[0] not in names:
            raise MisuseError(
                f"There is no command {words[0]!r}: choose one of {', '.join(names)}.", ctx=context
            )
        return super().resolve_command(context, words)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.modules:
            return super().get_command(context, name)
        command: click.Command = import_module(self.modules[name][0]).main
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, sentence) for name, (_, sentence) in self.modules.items()]
        rows += [(name, str(command.help)) for name, command in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


shardline = LazyGroup(
    "shardline",
    COMMANDS,
    help="Kaggle image data as shards, trained and measured. Each command has a --help.",
)
shardline.add_command(LazyGroup("bench", BENCHMARKS, help="Measure input, training and scaling."))


def main() -> None:
    """The console script."""
    # Processes that are started by it don't look for modules in the current folder either.
    os.environ["PYTHONSAFEPATH"] = "1"
    entry(shardline, prog_name="shardline")


if __name__ == "__main__":
    main()

"""Commands run in this process."""

import click
from click.testing import CliRunner, Result


def invoke(command: click.Command, *arguments: object) -> Result:
    """Run `command` as if `arguments` were typed."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments])

"""The interface of all that takes the records of a run, and what trackers take of a record."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import DataError
from trainer.run.metrics_reader import Record

KINDS = ("train", "evaluation", "summary")


class Sink(Protocol):
    """Takes the records of a run on rank 0, one after another."""

    def write(self, record: Record) -> None:
        """Take a record of metrics.jsonl."""

    def close(self) -> None:
        """Finish writing."""


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """A run as trackers see it.

    Attributes:
        directory: the run's directory, whose name is the run's name.
        config: what config.json holds.
        position: where this process begins.
        records: the records of earlier processes, up to `position`.
        say: prints a line on the console.
    """

    directory: Path
    config: Mapping[str, Any]
    position: int
    records: Sequence[Record]
    say: Callable[[str], None]

    @property
    def name(self) -> str:
        return self.directory.resolve().name


def numbers(record: Record) -> dict[str, float]:
    """The numbers of `record` as kind/name, or kind/name/part for those of a part, without its time
    and position."""
    return {name: value for name, value in _values(record) if isinstance(value, int | float)}


def positioned_numbers(record: Record) -> dict[str, float]:
    """``numbers``, and the position as kind/position: ``last_positions`` finds it again."""
    return {f"{record['kind']}/position": record["position"], **numbers(record)}


def last_positions(values: Any) -> dict[str, float]:
    """The position of the last record of each kind, by a tracker's last `values`, a mapping; -1 if
    it has none."""
    return {kind: values.get(f"{kind}/position", -1) for kind in KINDS}


def texts(record: Record) -> dict[str, str]:
    """The texts of `record`, with names as ``numbers`` has them."""
    return {name: value for name, value in _values(record) if isinstance(value, str)}


def _values(record: Record) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if name not in ("kind", "time", "position"):
            yield from _leaves(f"{record['kind']}/{name}", value)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list | tuple):
        value = dict(enumerate(value))
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(f"{name}/{key}", part)
    else:
        yield name, value


def require_no_link(path: Path) -> None:
    """Raise ``DataError`` if `path`, in a directory that may come from somebody else, is a link."""
    if path.is_symlink():
        raise DataError(
            f"{path} is a link, which could lead anywhere: delete it, or give another --out."
        )

"""Which masks the columns of a sample submission ask for. Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import DataError, MisuseError
from trainer.prediction.sample_submission import SampleSubmission
from trainer.prediction.submission_form import Names


@dataclass(frozen=True, kw_only=True)
class MaskForm:
    """Which columns of a sample submission have run lengths (`value`) and classes (`kind`; None for
    one row per image, of the class `only`)."""

    value: int
    kind: int | None
    only: int

    def classes(self, names: Names) -> list[int]:
        """The classes whose run lengths are asked for."""
        return [self.only] if self.kind is None else list(range(len(names.classes)))


def fit_mask_form(sample: SampleSubmission, names: Names) -> MaskForm:
    """What the columns of the sample submission ask for; raises ``MisuseError`` with a question."""
    columns = sample.value_columns
    kinds = [
        n for n in columns if all(names.index(cell) is not None for cell in {*sample.cells[n]})
    ]
    values = [n for n in columns if n not in kinds]
    if len(columns) == 1 and (len(names.classes) == 2 or names.positive is not None):
        return MaskForm(value=columns[0], kind=None, only=names.positive_index())
    if len(kinds) == 1 and len(values) == 1:
        return MaskForm(value=values[0], kind=kinds[0], only=0)
    titles = ", ".join(sample.columns[n] for n in columns)
    raise MisuseError(
        f"What does {sample.table} ask for? Its columns {titles} are neither run lengths of one "
        f"class (--positive-class names it) nor a class and its run lengths; the classes are "
        f"{', '.join(names.classes)}. Pass --format rle or masks for files that you convert "
        f"yourself."
    )


def require_full_size(made_by: Mapping[str, object]) -> None:
    """Raise ``DataError`` if tools/shard shrank the images: run lengths must be those of the
    images' own size."""
    arguments = made_by.get("arguments")
    limits = arguments if isinstance(arguments, Mapping) else {}
    for name in ("longest_side", "shortest_side"):
        if limits.get(name):
            raise DataError(
                f"The shards hold images shrunk by --{name.replace('_', '-')} {limits[name]}, so "
                f"masks would not have the size of the images: make the shards of the test images "
                f"without it and give them as --shards, or pass --format masks."
            )

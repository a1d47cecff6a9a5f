"""The question which array or column has the labels."""

from collections.abc import Sequence
from typing import NamedTuple

from pipeline.errors import MisuseError
from pipeline.text import option_lines, plural
from tools.arrays.array_names import matches_option
from tools.arrays.row_labels import RowLabels


class LabelChoice(NamedTuple):
    """Labels that an option selects: of `images` images, with these classes; `value` is the
    option's."""

    value: str
    images: int
    classes: frozenset[str]

    def describe(self) -> str:
        """The numbers of images and classes."""
        images = plural(self.images, "image")
        return f"{images}, {plural(len(self.classes), 'class')}" if self.classes else images


class LabelChoiceError(MisuseError):
    """Several arrays or columns may have the labels of `place`; `option` selects one."""

    def __init__(self, place: str, option: str, choices: Sequence[LabelChoice]) -> None:
        self.place, self.option, self.choices = place, option, tuple(choices)
        lines = "".join(
            f"{option_lines(option, [choice.value])}  ({choice.describe()})" for choice in choices
        )
        super().__init__(
            f"{place}: the labels can be read in {len(choices)} ways. Pick one:{lines}"
        )


def label_choice(value: str, labels: RowLabels | None, images: int) -> LabelChoice:
    """The choice of labels that were read, None if they can't be."""
    return LabelChoice(value, images, frozenset(() if labels is None else labels.classes))


def join_choices(errors: Sequence[LabelChoiceError]) -> LabelChoiceError:
    """One question for the splits of a data set; an option selects the array of its name in each
    split."""
    joined = list(errors[0].choices)
    for error in errors[1:]:
        for choice in error.choices:
            for place, other in enumerate(joined):
                if matches_option(choice.value, other.value):
                    joined[place] = LabelChoice(
                        other.value, other.images + choice.images, other.classes | choice.classes
                    )
    return LabelChoiceError(errors[0].place, errors[0].option, joined)

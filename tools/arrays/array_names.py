"""What the names of arrays say: images or labels, which split, which belong together.
Pure functions."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from tools.download.name_patterns import split_word, words_of

IMAGE_WORDS = frozenset(
    {"x", "image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "pixel"}
    | {"pixels", "input", "inputs", "frames", "faces", "digits", "patches"}
)
LABEL_WORDS = frozenset(
    {"y", "label", "labels", "lbl", "lbls", "lab", "target", "targets", "class", "classes"}
    | {"category", "categories", "gt", "truth", "annotation", "annotations", "ylabels"}
)
MASK_WORDS = frozenset(
    {"mask", "masks", "seg", "segmentation", "segmentations", "segs", "msk", "msks"}
)
# Words that say nothing about what belongs together.
_PLAIN_WORDS = frozenset({"arr", "array", "arrays", "data", "set", "numpy", "npy", "npz", "hdf"})
_SPLIT_WORDS = frozenset(
    {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
)
_GENERAL_WORDS = _PLAIN_WORDS | _SPLIT_WORDS
# Arrays that name, count or group the samples.
_OTHER_WORDS = frozenset(
    {"id", "ids", "index", "indices", "idx", "name", "names", "file", "filename", "filenames"}
    | {"path", "paths", "patient", "patients", "subject", "subjects", "group", "groups", "fold"}
    | {"folds", "box", "boxes", "bbox", "bboxes", "width", "height", "size", "sizes", "shape"}
    | {"weight", "weights", "date", "time"}
)
_ID_WORDS = frozenset({"id", "ids", "name", "names", "filename", "filenames", "path", "paths"})
_CLASS_LIST_WORDS = frozenset({"classes", "names", "categories"})
_NUMBERED = re.compile(r"arr_\d+")
# "Xtrain" and "ytest", which are written without a break.
_GLUED = re.compile(r"([xy])(train\w*|test\w*|val\w*)")


@dataclass(frozen=True)
class NameWords:
    """The words of an array's path in the download, in its file, sorted by what they say. `rest`
    are words that are equal in what belongs together, `own` those of them that are not a folder's;
    `numbers` are those of the file's name and of the array's, which may count pieces of one
    thing."""

    roles: frozenset[str]
    split: str | None
    rest: frozenset[str]
    own: frozenset[str]
    numbers: tuple[str, ...]

    @property
    def is_image(self) -> bool:
        """Whether it is called images."""
        return not self.is_mask and bool(self.roles & IMAGE_WORDS) and not self.is_label

    @property
    def is_certain_image(self) -> bool:
        """Whether its name says images, and not only that it is an input."""
        return self.is_image and bool(self.roles & IMAGE_WORDS - {"x", "input", "inputs"})

    @property
    def is_label(self) -> bool:
        """Whether it is called labels."""
        return bool(self.roles & LABEL_WORDS)

    @property
    def is_mask(self) -> bool:
        """Whether it is called masks."""
        return bool(self.roles & MASK_WORDS)

    @property
    def is_other(self) -> bool:
        """Whether it is called ids, groups, sizes ... and not labels."""
        return bool(self.roles & _OTHER_WORDS) and not self.is_label

    @property
    def is_ids(self) -> bool:
        """Whether it is called ids or names of files."""
        return bool(self.roles & _ID_WORDS) and not self.is_label

    @property
    def key(self) -> tuple[str | None, frozenset[str], tuple[str, ...]]:
        """Equal for images and labels that belong together."""
        return self.split, self.rest, self.numbers


def name_words(file: str, member: str = "") -> NameWords:
    """The words of an array `member` of `file`. The name nearest to the array tells its role: in
    "images/train.npz: labels" it is labels. A member called "data" or "arr_0" has the role of its
    file, a member of another name has not."""
    path = PurePosixPath(file)
    names = [*path.parts[:-1], path.stem]
    members = [name for name in member.split("/") if name and not _NUMBERED.fullmatch(name)]
    words = [_words(name) for name in (*names, *members)]
    roles = IMAGE_WORDS | LABEL_WORDS | MASK_WORDS | _OTHER_WORDS
    own = [one for one in words[len(names) :] if not _GENERAL_WORDS.issuperset(one)]
    nearest = next((f for one in reversed(own or words) if (f := roles.intersection(one))), ())
    plain = roles | _PLAIN_WORDS | _SPLIT_WORDS
    folders = len(names) - 1
    own_words = frozenset(word for one in words[folders:] for word in one) - plain
    folder_words = frozenset(word for one in words[:folders] for word in one) - plain
    return NameWords(
        roles=frozenset(nearest),
        split=next(filter(None, (split_word("_".join(one)) for one in reversed(words))), None),
        rest=own_words
        | folder_words
        | {number for name in names[:-1] for number in re.findall(r"\d+", name)},
        own=own_words,
        numbers=tuple(n for name in (names[-1], *members) for n in re.findall(r"\d+", name)),
    )


def are_chunks(numbers: Collection[tuple[str, ...]]) -> bool:
    """Whether these numbers of names count the pieces of one thing, from 0 or 1 without a gap."""
    if len(set(numbers)) != len(numbers) or len({len(one) for one in numbers}) != 1:
        return False
    differing = [column for column in zip(*numbers, strict=True) if len(set(column)) > 1]
    if len(differing) != 1:
        return False
    counted = sorted(map(int, differing[0]))
    return counted in (list(range(len(counted))), list(range(1, len(counted) + 1)))


def is_class_list(member: str) -> bool:
    """Whether an array of texts is called classes, label_names ..."""
    return not _CLASS_LIST_WORDS.isdisjoint(words_of(member))


def matches_option(name: str, option: str) -> bool:
    """Whether a --label-column or --image-column names this array, in any split."""
    return name == option or (_without_split(name) == _without_split(option) != [])


def same_split(one: str | None, other: str | None) -> bool:
    """Whether names of these splits may belong together."""
    return one == other or other is None


def _without_split(name: str) -> list[str]:
    pieces = [*_words(name), *re.findall(r"\d+", name)]
    return [piece for piece in pieces if piece not in _SPLIT_WORDS]


def _words(name: str) -> list[str]:
    return [piece for word in words_of(name) for piece in _unglued(word)]


def _unglued(word: str) -> Iterable[str]:
    found = _GLUED.fullmatch(word)
    return found.groups() if found else (word,)

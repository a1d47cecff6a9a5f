"""What names of files, folders and columns say."""

import re
from functools import lru_cache

_SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
# What may stand beside a split's name in a cell, as in "train_set".
_SPLIT_COMPANY = frozenset({"set", "data", "split"})
# Columns that say the split, without case and punctuation.
_SPLIT_COLUMNS = frozenset(
    {"split", "splits", "usage", "set", "subset", "dataset", "partition", "phase", "traintest"}
)
# A competition's two leaderboards.
_LEADERBOARDS = {"public": "val", "private": "test"}
_TRUE = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_GROUP_WORDS = frozenset(
    {"patient", "subject", "lesion", "person", "individual", "driver", "participant", "slide"}
)
_ID_WORDS = frozenset({"id", "ids", "no", "nr", "number", "code", "name", "identifier"})
_MASK_WORDS = frozenset(
    {"mask", "masks", "label", "labels", "gt", "groundtruth", "truth", "seg", "segmentation"}
    | {"segmentations", "annotation", "annotations", "annot"}
)
_IMAGE_WORDS = frozenset(
    {"image", "images", "img", "imgs", "sat", "satellite", "rgb", "photo", "photos", "picture"}
    | {"pictures", "original", "originals", "jpeg", "input", "inputs", "frame", "frames"}
)
_PIXEL_NAME = re.compile(r"\D*\d+(x\d+)?", re.IGNORECASE)
# Folders that hold images but are no classes.
_CONTAINERS = frozenset({"images", "image", "img", "imgs", "data"})
_ID_NAME = re.compile(r"(image|img|file|row|sample)?_?(id|idx|index|name)|filename", re.IGNORECASE)
# An index that pandas wrote has no name.
_UNNAMED = re.compile(r"(Unnamed: \d+)?")


def words_of(name: str) -> list[str]:
    """The words of a name in lower case: "PatientId", "patient_id" and "patient id" are alike."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def split_word(path: str) -> str | None:
    """The split that the name speaks of ("train", "val", "test"), its last part first; or None."""
    for name in reversed(path.split("/")):
        for word in words_of(name):
            if word in _SPLIT_WORDS:
                return _SPLIT_WORDS[word]
    return None


def is_split_column(name: str) -> bool:
    """Whether a column is called split, Usage, is_valid ...; its cells must agree."""
    return "".join(words_of(name)) in _SPLIT_COLUMNS or _asked_split(name) is not None


def split_of_cell(column: str, cell: str) -> str | None:
    """The split that a cell of a column of this name says, or None if it says none."""
    asked, text = _asked_split(column), cell.strip().lower().removesuffix(".0")
    if asked is not None and text in _TRUE:
        if _TRUE[text]:
            return asked
        return "val" if asked == "train" else "train"
    words = [word for word in words_of(cell) if word not in _SPLIT_COMPANY]
    for word in words:
        if word in _LEADERBOARDS and set(words) <= {word, "test"}:
            return _LEADERBOARDS[word]
    return _SPLIT_WORDS.get(words[0]) if len(words) == 1 else None


def _asked_split(column: str) -> str | None:
    """ "val" of a column called is_valid."""
    first, *others = words_of(column) or [""]
    return _SPLIT_WORDS.get(others[0]) if first == "is" and len(others) == 1 else None


def is_group_column(name: str) -> bool:
    """Whether a column is called patient_id, subject, LesionId ..."""
    words = set(words_of(name))
    return bool(words & _GROUP_WORDS) and words <= _GROUP_WORDS | _ID_WORDS


def is_fold_column(name: str) -> bool:
    return set(words_of(name)) <= {"k", "fold", "folds", "kfold"} and bool(words_of(name))


def is_submission(name: str) -> bool:
    return "submission" in name.lower()


def is_mask_name(name: str) -> bool:
    """Whether a folder, file stem or column speaks of masks."""
    return not _MASK_WORDS.isdisjoint(words_of(name))


def besides_masks(name: str) -> frozenset[str]:
    """What a name says apart from speaking of masks or images."""
    words = frozenset([*words_of(name), *re.findall(r"\d+", name)])
    return words - _MASK_WORDS - _IMAGE_WORDS


def is_csv(name: str) -> bool:
    return name.lower().endswith((".csv", ".tsv"))


def class_of_folder(name: str) -> str:
    """A folder's class; a zip may stand for the folder."""
    return name[:-4] if name.lower().endswith(".zip") else name


def is_container(name: str) -> bool:
    return class_of_folder(name).lower() in _CONTAINERS


@lru_cache(maxsize=2**16)
def is_class_folder(name: str) -> bool:
    """Whether a folder may be called so for its class: not for a split, nor for holding images."""
    words = set(words_of(class_of_folder(name)))
    of_masks = bool(words & _MASK_WORDS) and words <= _MASK_WORDS | _IMAGE_WORDS | set(_SPLIT_WORDS)
    return not (is_container(name) or (words and words <= set(_SPLIT_WORDS)) or of_masks)


def is_pixel_column(name: str) -> bool:
    """pixel0, px_12, 1x1, 783: letters, then a number or two."""
    return _PIXEL_NAME.fullmatch(name) is not None


def is_unnamed(name: str) -> bool:
    return _UNNAMED.fullmatch(name) is not None


def is_id_column(name: str) -> bool:
    return _ID_NAME.fullmatch(name) is not None


def is_label_column(name: str) -> bool:
    return name.lower() in ("label", "labels")

"""The meaning of names of files, folders and columns."""

import re
from functools import lru_cache

_SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "pred", "prediction", "predict"), "test"),
}
# Words that a cell may add to the name of a split, as in "train_set".
_SPLIT_SUFFIXES = frozenset({"set", "data", "split"})
# Names of split columns, in lower case and without punctuation.
_SPLIT_COLUMNS = frozenset(
    {"split", "splits", "usage", "set", "subset", "dataset", "partition", "phase", "traintest"}
)
# The two leaderboards of a competition.
_LEADERBOARDS = {"public": "val", "private": "test"}
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_GROUP_WORDS = frozenset(
    {"patient", "subject", "lesion", "person", "individual", "driver", "participant", "slide"}
)
_ID_WORDS = frozenset({"id", "ids", "no", "nr", "number", "code", "name", "identifier"})
_MASK_WORDS = frozenset(
    {"mask", "masks", "label", "labels", "gt", "groundtruth", "truth", "seg", "segmentation"}
    | {"segmentations", "annotation", "annotations", "annot", "trimap", "trimaps", "matte"}
    | {"manual", "groundtruths", "silhouettes", "silhouette"}
)
_IMAGE_WORDS = frozenset(
    {"image", "images", "img", "imgs", "sat", "satellite", "rgb", "photo", "photos", "picture"}
    | {"pictures", "original", "originals", "jpeg", "input", "inputs", "frame", "frames"}
)
# Words that may stand beside that of a split or of masks: "stage1_train", "test_set".
_FILLING_WORDS = frozenset(
    {"set", "data", "dataset", "stage", "v", "split", "new", "final", "resized", "folder", "dir"}
)
_STATE_WORDS = frozenset({"labeled", "labelled", "unlabeled", "unlabelled", "annotated"})
_PIXEL_NAME = re.compile(r"\D*\d+(x\d+)?", re.IGNORECASE)
# "Tile 3", "images_part_1", "batch2", "patient_07": parts of a whole, not classes.
_NUMBERED_PART = re.compile(
    r"(?:^|[\s._-])(?:tile|part|batch|chunk|fold|folder|group|session|patient|subject|case|video"
    r"|sequence|scene|slide|volume)[\s._-]*\d+$",
    re.IGNORECASE,
)
# Folders that contain images and are not classes.
_IMAGE_FOLDERS = frozenset({"images", "image", "img", "imgs", "data"})
_ID_NAME = re.compile(r"(image|img|file|row|sample)?_?(id|idx|index|name)|filename", re.IGNORECASE)
# The index column that pandas writes has no name.
_UNNAMED = re.compile(r"(Unnamed: \d+)?")


def words_of(name: str) -> list[str]:
    """The words of a name in lower case, such as "patient" and "id" of PatientId and patient_id."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def split_word(path: str) -> str | None:
    """The split in a path ("train", "val", "test"), from the last part up; or None."""
    for name in reversed(path.split("/")):
        for word in words_of(name):
            if word in _SPLIT_WORDS:
                return _SPLIT_WORDS[word]
    return None


def is_split_column(name: str) -> bool:
    """Whether a column is called split, Usage, is_valid ...; its cells must agree."""
    return "".join(words_of(name)) in _SPLIT_COLUMNS or _split_in_question(name) is not None


def has_split_name(path: str) -> bool:
    """Whether a table is called train_test_split, partition ...: its values are splits."""
    words = {*words_of(path.rpartition("/")[2].rpartition(".")[0])}
    return bool(words & _SPLIT_COLUMNS) or len({_SPLIT_WORDS.get(w) for w in words} - {None}) > 1


def split_of_cell(column: str, cell: str) -> str | None:
    """The split that a cell of this column means, or None."""
    split, text = _split_in_question(column), cell.strip().lower().removesuffix(".0")
    if split is not None and text in _BOOLEANS:
        if _BOOLEANS[text]:
            return split
        return "val" if split == "train" else "train"
    words = [word for word in words_of(cell) if word not in _SPLIT_SUFFIXES]
    for word in words:
        if word in _LEADERBOARDS and set(words) <= {word, "test"}:
            return _LEADERBOARDS[word]
    return _SPLIT_WORDS.get(words[0]) if len(words) == 1 else None


def _split_in_question(column: str) -> str | None:
    """ "val" for a column called is_valid."""
    first, *others = words_of(column) or [""]
    return _SPLIT_WORDS.get(others[0]) if first == "is" and len(others) == 1 else None


def is_group_column(name: str) -> bool:
    """Whether a column is called patient_id, subject, LesionId ..."""
    words = set(words_of(name))
    return bool(words & _GROUP_WORDS) and words <= _GROUP_WORDS | _ID_WORDS


def is_fold_column(name: str) -> bool:
    """Whether a column is called fold, kfold ..."""
    return set(words_of(name)) <= {"k", "fold", "folds", "kfold"} and bool(words_of(name))


def is_submission(name: str) -> bool:
    """Whether a table is a sample submission."""
    return "submission" in name.lower()


def is_mask_name(name: str) -> bool:
    """Whether the name of a folder, file stem or column contains a word for masks."""
    return not _MASK_WORDS.isdisjoint(words_of(name))


def words_besides_masks(name: str) -> frozenset[str]:
    """The words and numbers of a name except those for masks and images."""
    words = frozenset([*words_of(name), *re.findall(r"\d+", name)])
    return words - _MASK_WORDS - _IMAGE_WORDS


def is_csv(name: str) -> bool:
    """Whether a file has the extension of a CSV or TSV."""
    return name.lower().endswith((".csv", ".tsv"))


def class_of_folder(name: str) -> str:
    """The class of a folder's name; the folder may be a zip."""
    return (name[:-4] if name.lower().endswith(".zip") else name).strip()


def is_image_folder(name: str) -> bool:
    """Whether a folder is called images, data ..., which is not a class."""
    return class_of_folder(name).lower() in _IMAGE_FOLDERS


@lru_cache(maxsize=2**16)
def is_class_folder(name: str) -> bool:
    """Whether a folder's name may be a class: not a split, images, masks or a numbered part."""
    if _NUMBERED_PART.search(name):
        return False
    words = set(words_of(class_of_folder(name)))
    splits = frozenset(_SPLIT_WORDS)
    is_part = words & (_MASK_WORDS | splits | _STATE_WORDS) and words <= (
        _MASK_WORDS | _IMAGE_WORDS | splits | _FILLING_WORDS | _STATE_WORDS
    )
    return not (is_image_folder(name) or is_part)


def is_pixel_column(name: str) -> bool:
    """Whether a column is called pixel0, px_12, 1x1, 783: letters, then one or two numbers."""
    return _PIXEL_NAME.fullmatch(name) is not None


def is_unnamed(name: str) -> bool:
    """Whether a column is an index that pandas wrote."""
    return _UNNAMED.fullmatch(name) is not None


def is_id_column(name: str) -> bool:
    """Whether a column is called id, image_id, filename ..."""
    return _ID_NAME.fullmatch(name) is not None


def is_label_column(name: str) -> bool:
    """Whether a column is called label or labels."""
    return name.lower() in ("label", "labels")

"""What the gathered sources are to be learned for, task by task, in arrays."""

from array import array
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from tools.download.file_index import FileIndex
from tools.download.label_parsing import Value
from tools.download.sources import LabelCodes, sort_classes
from tools.images.masks import MaskColors


class Targets(Protocol):
    """One value a source, in their order."""

    def add(self, value: Value | int) -> None: ...

    def same(self, number: int, value: Value | int) -> bool:
        """Whether source `number` has this value."""
        ...

    def show(self, number: int) -> str:
        """The value of a source, for people."""
        ...

    def files(self) -> NDArray[np.int64]:
        """Numbers of the images that are values."""
        ...

    def fields(self, index: FileIndex) -> dict[str, Any]:
        """The fields of ``Sources`` that say them."""
        ...


class _NoFiles:
    def files(self) -> NDArray[np.int64]:
        return np.empty(0, np.int64)


class Labels(_NoFiles):
    """One label each."""

    def __init__(self) -> None:
        self._codes, self._labels = LabelCodes(), array("i")

    def add(self, value: Value | int) -> None:
        self._labels.append(self._codes[cast(str, value)])

    def same(self, number: int, value: Value | int) -> bool:
        return self._codes[cast(str, value)] == self._labels[number]

    def show(self, number: int) -> str:
        return repr(self._codes.texts[self._labels[number]])

    def fields(self, index: FileIndex) -> dict[str, Any]:
        return {
            "task": "classification",
            "labels": np.frombuffer(self._labels, np.int32),
            "classes": self._codes.texts,
        }


class LabelSets(_NoFiles):
    """Several labels each; `names` are those that are known before, in their order."""

    def __init__(self, names: tuple[str, ...] = ()) -> None:
        self._codes, self._known = LabelCodes({name: n for n, name in enumerate(names)}), names
        self._flat, self._ends = array("i"), array("q", [0])

    def add(self, value: Value | int) -> None:
        self._flat.extend(self._codes[text] for text in cast(tuple[str, ...], value))
        self._ends.append(len(self._flat))

    def same(self, number: int, value: Value | int) -> bool:
        return {self._codes[text] for text in cast(tuple[str, ...], value)} == set(self._of(number))

    def show(self, number: int) -> str:
        return repr(tuple(self._codes.texts[code] for code in self._of(number)))

    def fields(self, index: FileIndex) -> dict[str, Any]:
        count, texts = len(self._ends) - 1, self._codes.texts
        classes = self._known or sort_classes(texts)
        column = np.array([classes.index(text) for text in texts], np.int64)
        ends = np.frombuffer(self._ends, np.int64)
        targets = np.zeros((count, len(classes)), np.float32)
        rows = np.repeat(np.arange(count), ends[1:] - ends[:-1])
        targets[rows, column[np.frombuffer(self._flat, np.int32)]] = 1
        return {
            "task": "multi-label",
            "labels": _no_labels(count),
            "classes": classes,
            "ordered": True,
            "targets": targets,
        }

    def _of(self, number: int) -> "array[int]":
        return self._flat[self._ends[number] : self._ends[number + 1]]


class Measures(_NoFiles):
    """As many numbers each as there are `names`."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names, self._numbers = names, array("f")

    def add(self, value: Value | int) -> None:
        self._numbers.extend(cast(tuple[float, ...], value))

    def same(self, number: int, value: Value | int) -> bool:
        return self._of(number) == array("f", cast(tuple[float, ...], value))

    def show(self, number: int) -> str:
        return ", ".join(f"{number:g}" for number in self._of(number))

    def fields(self, index: FileIndex) -> dict[str, Any]:
        targets = np.frombuffer(self._numbers, np.float32).reshape(-1, len(self._names))
        return {
            "task": "regression",
            "labels": _no_labels(len(targets)),
            "classes": (),
            "ordered": True,
            "targets": targets,
            "target_names": self._names,
        }

    def _of(self, number: int) -> "array[float]":
        width = len(self._names)
        return self._numbers[number * width : (number + 1) * width]


class MaskNumbers:
    """A mask each, by its number in the index; `classes` are named by `colors`."""

    def __init__(self, classes: tuple[str, ...], colors: MaskColors, index: FileIndex) -> None:
        self._classes, self._colors, self._index = classes, colors, index
        self._numbers = array("q")

    def add(self, value: Value | int) -> None:
        self._numbers.append(cast(int, value))

    def same(self, number: int, value: Value | int) -> bool:
        return self._numbers[number] == value

    def show(self, number: int) -> str:
        return self._index.images[self._numbers[number]]

    def files(self) -> NDArray[np.int64]:
        return np.frombuffer(self._numbers, np.int64)

    def fields(self, index: FileIndex) -> dict[str, Any]:
        return {
            "task": "segmentation",
            "labels": _no_labels(len(self._numbers)),
            "classes": self._classes,
            "ordered": True,
            "masks": index.take(self.files()),
            "mask_colors": self._colors,
        }


def _no_labels(count: int) -> NDArray[np.int32]:
    return np.full(count, -1, np.int32)

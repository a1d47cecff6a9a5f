"""The targets of the sources, task by task, in compact arrays."""

import math
from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tools.download.file_index import FileIndex
from tools.download.label_parsing import LabelRule, MultiHot, Value
from tools.download.label_sets import make_sets
from tools.download.sources import LabelCodes, sort_classes
from tools.images.image_source import Images
from tools.images.mask_files import ObjectMasks, RunLengthMasks, pack_runs
from tools.images.masks import MaskColors

# A label and the like, files of a mask, or class and run lengths of each object.
Target = Value | tuple[int, ...] | tuple[tuple[int, str], ...]


class Targets(ABC):
    """One target for each source, in order, each stored as `width` numbers."""

    def __init__(self, typecode: str, width: int = 1) -> None:
        self._numbers: array[Any] = array(typecode)
        self._width = width

    @abstractmethod
    def encode(self, target: Target) -> Iterable[float]:
        """The numbers that stand for a target."""

    @abstractmethod
    def show(self, source: int) -> str:
        """The target of a source, for people."""

    @abstractmethod
    def fields(self, index: FileIndex) -> dict[str, Any]:
        """The fields of ``Sources`` for the targets."""

    def add(self, target: Target) -> None:
        """Add the target of the next source."""
        self._numbers.extend(self.encode(target))

    @abstractmethod
    def add_missing(self) -> None:
        """Add the place of a source without a target."""

    def equals(self, source: int, target: Target) -> bool:
        """Whether the source has this target."""
        return self._of(source) == array(self._numbers.typecode, self.encode(target))

    def merge(self, source: int, target: Target) -> bool:
        """Add a further target to that of a source; False if a source has only one."""
        return False

    def files(self) -> NDArray[np.int64]:
        """Numbers of the images that are targets."""
        return np.empty(0, np.int64)

    def _of(self, source: int) -> "array[Any]":
        return self._numbers[source * self._width : (source + 1) * self._width]


class ClassTargets(Targets):
    """One label each."""

    def __init__(self) -> None:
        super().__init__("i")
        self._codes = LabelCodes()

    def encode(self, target: Target) -> Iterable[int]:
        return (self._codes[cast(str, target)],)

    def add_missing(self) -> None:
        self._numbers.append(-1)

    def show(self, source: int) -> str:
        return repr(self._codes.texts[self._numbers[source]])

    def fields(self, index: FileIndex) -> dict[str, Any]:
        return {
            "task": "classification",
            "labels": np.frombuffer(self._numbers, np.int32),
            "classes": self._codes.texts,
        }


class MultiLabelTargets(Targets):
    """Several labels each; `names` are the classes in order, if they are known in advance. With
    `unites_rows` the labels of all rows of an image are its set."""

    def __init__(self, names: tuple[str, ...] = (), *, unites_rows: bool = False) -> None:
        super().__init__("i")
        self._unites_rows, self._further = unites_rows, dict[int, set[int]]()
        self._codes, self._names = LabelCodes({name: n for n, name in enumerate(names)}), names
        self._ends, self._missing = array("q", [0]), array("q")

    def encode(self, target: Target) -> Iterable[int]:
        return [self._codes[label] for label in cast(tuple[str, ...], target)]

    def equals(self, source: int, target: Target) -> bool:
        return set(self._of(source)) == set(self.encode(target))

    def add(self, target: Target) -> None:
        super().add(target)
        self._ends.append(len(self._numbers))

    def merge(self, source: int, target: Target) -> bool:
        if self._unites_rows:
            self._further.setdefault(source, set()).update(self.encode(target))
        return self._unites_rows

    def add_missing(self) -> None:
        self._missing.append(len(self._ends) - 1)
        self._ends.append(len(self._numbers))

    def show(self, source: int) -> str:
        return repr(tuple(self._codes.texts[code] for code in self._of(source)))

    def fields(self, index: FileIndex) -> dict[str, Any]:
        texts = self._codes.texts
        classes = self._names or sort_classes(texts)
        places = {text: number for number, text in enumerate(classes)}
        columns = np.array([places[text] for text in texts], np.int64)
        ends = np.frombuffer(self._ends, np.int64)
        counts = ends[1:] - ends[:-1]
        further = [(source, code) for source, codes in self._further.items() for code in codes]
        more = np.array(further, np.int64).reshape(-1, 2)
        rows = np.concatenate([np.repeat(np.arange(len(counts)), counts), more[:, 0]])
        codes = np.concatenate([np.frombuffer(self._numbers, np.int32), more[:, 1]])
        missing = np.zeros(len(counts), np.bool_)
        missing[np.frombuffer(self._missing, np.int64)] = True
        targets = make_sets(rows, columns[codes], missing, len(classes))
        return _without_labels(
            "multi-label", len(counts), classes=classes, ordered=True, targets=targets
        )

    def _of(self, source: int) -> "array[Any]":
        return self._numbers[self._ends[source] : self._ends[source + 1]]


class RegressionTargets(Targets):
    """A number for each of `names`."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__("f", len(names))
        self._names = names

    def encode(self, target: Target) -> Iterable[float]:
        return cast(tuple[float, ...], target)

    def add_missing(self) -> None:
        self._numbers.extend([math.nan] * self._width)

    def show(self, source: int) -> str:
        return ", ".join(f"{number:g}" for number in self._of(source))

    def fields(self, index: FileIndex) -> dict[str, Any]:
        targets = np.frombuffer(self._numbers, np.float32).reshape(-1, self._width)
        return _without_labels(
            "regression", len(targets), targets=targets, target_names=self._names
        )


class MaskTargets(Targets):
    """A mask each: the numbers in `index` of its files, of an object each if there are several."""

    def __init__(self, classes: tuple[str, ...], colors: MaskColors, index: FileIndex) -> None:
        super().__init__("q")
        self._classes, self._colors, self._index = classes, colors, index
        self._ends = array("q", [0])

    def encode(self, target: Target) -> Iterable[int]:
        return cast(tuple[int, ...], target)

    def add(self, target: Target) -> None:
        super().add(target)
        self._ends.append(len(self._numbers))

    def add_missing(self) -> None:
        self._ends.append(len(self._numbers))

    def show(self, source: int) -> str:
        return ", ".join(self._index.images[number] for number in self._of(source)[:3])

    def files(self) -> NDArray[np.int64]:
        return np.frombuffer(self._numbers, np.int64)

    def fields(self, index: FileIndex) -> dict[str, Any]:
        bounds = np.frombuffer(self._ends, np.int64)
        counts = np.diff(bounds)
        masks: Images
        if np.all(counts <= 1):
            numbers = np.full(len(counts), -1, np.int64)
            numbers[counts > 0] = self.files()
            masks = index.take_or_empty(numbers)
        else:
            masks = ObjectMasks(index.take(self.files()), bounds)
        return _without_labels(
            "segmentation",
            len(counts),
            classes=self._classes,
            ordered=True,
            masks=masks,
            mask_colors=self._colors,
        )

    def _of(self, source: int) -> "array[Any]":
        return self._numbers[self._ends[source] : self._ends[source + 1]]


class RunLengthTargets(Targets):
    """Run lengths each: of every object, the index of its class from 1 and its runs."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        super().__init__("b")
        self._classes = classes
        self._runs: list[list[tuple[int, str]] | None] = []

    def encode(self, target: Target) -> Iterable[int]:
        return ()

    def add(self, target: Target) -> None:
        self._runs.append(list(cast(tuple[tuple[int, str], ...], target)))

    def add_missing(self) -> None:
        self._runs.append(None)

    def merge(self, source: int, target: Target) -> bool:
        runs = self._runs[source]
        if runs is not None:
            runs.extend(cast(tuple[tuple[int, str], ...], target))
        return True

    def show(self, source: int) -> str:
        return f"{len(self._runs[source] or ())} objects"

    def fields(self, index: FileIndex) -> dict[str, Any]:
        values = tuple(b"" if runs is None else pack_runs(runs) for runs in self._runs)
        return _without_labels(
            "segmentation",
            len(values),
            classes=self._classes,
            ordered=True,
            masks=RunLengthMasks(values),
            mask_colors=MaskColors(colors=None, numbers=len(self._classes)),
        )


def label_targets(rule: LabelRule, *, unites_rows: bool = False) -> Targets:
    """An empty collection for the targets that `rule` reads."""
    if rule.task == "regression":
        return RegressionTargets(rule.names)
    if rule.task == "classification":
        return ClassTargets()
    names = rule.names if isinstance(rule, MultiHot) else ()
    return MultiLabelTargets(names, unites_rows=unites_rows)


def _without_labels(task: str, count: int, **fields: Any) -> dict[str, Any]:
    """The fields of sources whose targets are not one label."""
    return {"task": task, "labels": np.full(count, -1, np.int32), **fields}

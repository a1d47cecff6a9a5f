"""The reading of boxes: the set of categories of each image, or its only category."""

from dataclasses import dataclass

from pipeline.errors import MisuseError
from pipeline.text import join_names, plural
from tools.config import ShardConfig
from tools.download.file_index import FileIndex, folder_of
from tools.readings.box_files import Boxes, find_boxes
from tools.readings.collect import FilePart, FileSources
from tools.readings.reading import Kind, Reading, sorted_numbers
from tools.readings.split_columns import folders_differ, split_of_folder
from tools.readings.targets import ClassTargets, MultiLabelTargets, Targets


@dataclass(frozen=True, kw_only=True)
class BoxLabels(FilePart):
    """The categories of the objects in each image; one for each image with `is_single`."""

    boxes: Boxes
    is_single: bool

    def describe(self) -> str:
        what = "only category" if self.is_single else "set of categories"
        files = join_names(self.boxes.files, 2)
        return f"the {what} of each image's {self.boxes.format} boxes ({files})"

    def targets(self, index: FileIndex) -> Targets:
        return ClassTargets() if self.is_single else MultiLabelTargets()

    def collect(self, index: FileIndex, sources: FileSources) -> None:
        for number, labels in sorted(self.boxes.objects.items()):
            split = split_of_folder(folder_of(index.images[number])) if self.has_splits else None
            kinds = tuple(dict.fromkeys(labels))
            if self.is_single and len(kinds) != 1:
                sources.rejected.append((index.images[number], "no box"))
            else:
                sources.add(number, kinds[0] if self.is_single else kinds, split=split)
        sources.rejected += [
            (file, f"names the image {image!r}, which does not exist")
            for file, image in self.boxes.missing
        ]


def box_readings(index: FileIndex, config: ShardConfig) -> list[Reading]:
    """The reading of boxes that --task asks for; none without boxes.

    Raises ``MisuseError`` if --task asks for one category, and images have several.
    """
    boxes = find_boxes(index)
    if boxes is None or config.task not in ("auto", "classification", "multi-label"):
        return []
    is_single = all(len(set(labels)) == 1 for labels in boxes.objects.values())
    if config.task == "auto" or (config.task == "classification" and not is_single):
        if config.task == "auto" and is_single:
            return [_reading(index, boxes, is_single=True)]
        raise MisuseError(_refusal(boxes))
    return [_reading(index, boxes, is_single=config.task == "classification")]


def _reading(index: FileIndex, boxes: Boxes, *, is_single: bool) -> Reading:
    paths = [index.images[number] for number in boxes.objects]
    part = BoxLabels(
        option="--task multi-label",
        has_splits=folders_differ(paths),
        boxes=boxes,
        is_single=is_single,
    )
    return Reading(
        kind=Kind.BOXES,
        parts=(part,),
        words=("--task", "classification" if is_single else "multi-label"),
        task="classification" if is_single else "multi-label",
        images=sorted_numbers(boxes.objects),
        classes=frozenset(boxes.categories),
    )


def _refusal(boxes: Boxes) -> str:
    """Why boxes are no classes, and what can be done with them."""
    example = next(set(labels) for labels in boxes.objects.values() if len(set(labels)) != 1)
    shown = f"has {join_names(sorted(example), 3, quote=True)}" if example else "has no box"
    return (
        f"The download has {boxes.format} boxes ({join_names(boxes.files, 2)}): "
        f"{plural(boxes.count, 'box')} of {len(boxes.categories)} categories "
        f"({join_names(boxes.categories, quote=True)}) in {plural(len(boxes.objects), 'image')}. "
        f"An image {shown}, so they are no classes of images, and objects are not cut out. Pass "
        f"--task multi-label to learn the set of categories of each image."
    )

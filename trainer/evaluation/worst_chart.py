"""The picture of the samples with the highest losses."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.chart_fonts import class_labels
from pipeline.contact_sheet import ContactSheet, Tile, write_contact_sheet
from pipeline.mask_colors import color_mask, mask_legend
from trainer.evaluation.worst import Picture, WorstSample
from trainer.files import REPEAT, replaced

_COLUMNS = 6


def draw_worst(
    samples: Sequence[WorstSample],
    pictures: Mapping[int, Picture],
    classes: tuple[str, ...],
    path: Path,
    *,
    title: str,
    subtitle: str,
) -> None:
    """Write a PNG with a tile for each of `samples`, or two: with the true and with the predicted
    mask. Raises ``DataError`` if it can't be written."""
    labels = dict(zip(classes, class_labels(classes), strict=True))
    has_masks = any(picture.masks is not None for picture in pictures.values())
    sheet = ContactSheet(
        title=title,
        subtitle=subtitle,
        tiles=[tile for sample in samples for tile in _tiles(sample, pictures[sample.row], labels)],
        columns=_COLUMNS,
        legend=mask_legend(classes) if has_masks else (),
    )
    with replaced(path, REPEAT) as partial:
        write_contact_sheet(sheet, partial)


def _tiles(sample: WorstSample, picture: Picture, labels: Mapping[str, str]) -> Iterator[Tile]:
    answer = sample.answer
    percent = "" if answer.probability is None else f"{answer.probability:.1%}"
    true, predicted = (
        f"{what}: {labels.get(name, name) or 'nothing'}"
        for what, name in (("true", answer.true), ("predicted", answer.predicted))
    )
    loss = f"loss {answer.loss:.4g}"
    if picture.masks is not None:
        first, second = (color_mask(picture.image, mask) for mask in picture.masks)
        yield Tile(image=first, caption=(true, sample.source))
        yield Tile(image=second, caption=(predicted, loss))
    elif answer.tag:
        tag = f"{labels[answer.tag]}: {percent}"
        yield Tile(image=picture.image, caption=(true, predicted, f"{tag}, {loss}", sample.source))
    else:
        predicted = f"{predicted} {percent}".rstrip()
        yield Tile(image=picture.image, caption=(true, predicted, loss, sample.source))

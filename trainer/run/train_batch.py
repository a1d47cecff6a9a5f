"""train_batch.png: the first images of a run as the network gets them, with their targets."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.batch import Batch
from pipeline.chart_fonts import class_labels
from pipeline.mask_colors import color_mask, mask_legend
from pipeline.storage.manifest import VOID
from trainer.files import replaced, resume_advice
from trainer.run.run_dir import TRAIN_BATCH_NAME
from trainer.tasks.multi_label import MultiLabel
from trainer.tasks.regression import Regression
from trainer.tasks.segmentation import Segmentation
from trainer.tasks.tasks import Task
from trainer.training_run import TrainingRun

if TYPE_CHECKING:  # imports matplotlib
    from pipeline.contact_sheet import ContactSheet

_COLUMNS, _FEWEST_COLUMNS = 8, 4
_NO_TARGET = "(no label)"


class FirstBatch:
    """Keeps the first batch of a run until it is drawn: after the first step, which so waits for no
    picture. On rank 0, of a run that has no picture yet.

    Attributes:
        path: the picture.
    """

    def __init__(self, run: TrainingRun) -> None:
        self._run, self._position = run, run.progress.position
        self.path = run.run_dir.path / TRAIN_BATCH_NAME
        self._batch: Batch | None = None
        has_images = run.data.dataset is not None and run.settings.log.show_batch > 0
        self._is_wanted = run.world.rank == 0 and has_images and not self.path.exists()

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches."""
        for batch in batches:
            if self._is_wanted:
                self._batch, self._is_wanted = batch, False
            yield batch

    def draw(self) -> bool:
        """Write the picture if there is a batch to draw; whether there was. Raises ``DataError`` if
        it can't be written."""
        batch, self._batch = self._batch, None
        if batch is None:
            return False
        from pipeline.contact_sheet import write_contact_sheet  # imports matplotlib

        with replaced(self.path, resume_advice(self.path.parent)) as partial:
            write_contact_sheet(self._sheet(batch), partial)
        return True

    def _sheet(self, batch: Batch) -> "ContactSheet":
        run, images, targets = self._run, batch.images, batch.targets
        count = min(run.settings.log.show_batch, len(images))
        # Pairs are mixed.
        drawn = min(len(images), count + count % 2)
        images, targets = images[:drawn], targets[:drawn]
        if run.mix is not None:
            images, targets = run.mix(images, targets, self._position)
        height, width = images.shape[2:]
        return batch_sheet(
            images[:count].permute(0, 2, 3, 1).cpu().numpy(),
            targets[:count].cpu().numpy(),
            run.task,
            title=f"What the network gets: {count:,} of {len(batch.images):,} images of a batch",
            subtitle=f"{run.run_dir.path}: rank 0, first step of this process, epoch "
            f"{self._position / run.data.samples:.2f}; {width} x {height} px, with all "
            f"augmentation, before normalization.",
        )


def batch_sheet(
    images: NDArray[np.uint8], targets: NDArray[Any], task: Task, *, title: str, subtitle: str
) -> "ContactSheet":
    """A sheet of `images`, RGB uint8 (N, H, W, 3), with `targets` as ``Batch`` and ``Mixing`` have
    them: classes, shares of mixed classes, numbers, or masks, which are drawn over the images."""
    from pipeline.contact_sheet import ContactSheet, Tile  # imports matplotlib

    is_masks = isinstance(task, Segmentation)
    if is_masks:
        images = np.stack([color_mask(*pair) for pair in zip(images, targets, strict=True)])
    captions = target_captions(targets, task)
    return ContactSheet(
        title=title,
        subtitle=subtitle,
        tiles=[
            Tile(image=image, caption=caption)
            for image, caption in zip(images, captions, strict=True)
        ],
        columns=min(_COLUMNS, max(_FEWEST_COLUMNS, len(images))),
        legend=mask_legend(task.classes) if isinstance(task, Segmentation) else (),
    )


def target_captions(targets: NDArray[Any], task: Task) -> list[tuple[str, ...]]:
    """The texts below each image, a line each: its class, or "cat 70 %" and "dog 30 %" if it is
    mixed; its classes, of a mask without the first, the background; or its numbers."""
    if isinstance(task, Regression):
        return [_number_caption(row, task.targets) for row in targets]
    names = class_labels(task.classes)  # type: ignore[attr-defined]
    if isinstance(task, Segmentation):
        return [_mask_caption(mask, names) for mask in targets]
    if isinstance(task, MultiLabel):
        return [_label_caption(row, names) for row in targets]
    if targets.ndim == 1:
        return [(names[label] if label >= 0 else _NO_TARGET,) for label in targets.tolist()]
    return [_share_caption(row, names) for row in targets]


def _number_caption(row: NDArray[Any], names: tuple[str, ...]) -> tuple[str, ...]:
    if np.isnan(row).any():
        return (_NO_TARGET,)
    if len(names) == 1:
        return (f"{row[0]:.4g}",)
    return tuple(f"{name} {value:.4g}" for name, value in zip(names, row.tolist(), strict=True))


def _mask_caption(mask: NDArray[Any], names: list[str]) -> tuple[str, ...]:
    present = [value for value in np.unique(mask).tolist() if value != VOID]
    if not present:
        return (_NO_TARGET,)
    return (", ".join(names[value] for value in present if value) or f"only {names[0]}",)


def _label_caption(row: NDArray[Any], names: list[str]) -> tuple[str, ...]:
    if np.isnan(row).any():
        return (_NO_TARGET,)
    return (", ".join(names[number] for number in np.flatnonzero(row > 0.5)) or "(none)",)


def _share_caption(row: NDArray[Any], names: list[str]) -> tuple[str, ...]:
    """The classes with their shares, the largest first, without those that round to 0 %."""
    shown = np.count_nonzero(row >= 0.005)
    order = np.argsort(-row, kind="stable")[:shown].tolist()
    if len(order) == 1:
        return (names[order[0]],)
    return tuple(f"{names[number]} {row[number]:.0%}" for number in order)

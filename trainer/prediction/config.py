"""Options of ``python -m trainer.predict``. Needs no torch."""

from dataclasses import dataclass
from typing import Literal

from pipeline.errors import MisuseError
from pipeline.options import COUNT, FRACTION, setting
from trainer.run.run_choice import RunsOnDevice


@dataclass(frozen=True, kw_only=True)
class PredictConfig(RunsOnDevice):
    """Options of the command."""

    split: str = setting("test", "Split to predict.")
    shards: str | None = setting(
        None,
        "Shards to predict, with the same classes or targets as the run.  [default: those of "
        "the first run]",
    )
    src: str | None = setting(
        None,
        "Predict image files instead of a split: a folder, or a pattern such as 'photos/*.jpg'. "
        "tools/shard stores them first, in a temporary folder, as it stored the shards.",
        metavar="FOLDER_OR_GLOB",
    )
    format: Literal["auto", "submission", "labels", "probabilities", "npz", "masks", "rle"] = (
        setting(
            "auto",
            "submission: the rows and columns of the sample submission; labels: id and class, or "
            "targets; probabilities: id and a column per class; npz: ids and logits as NumPy "
            "arrays; masks: a PNG of class numbers per image; rle: run lengths of masks, column "
            "by column, from 1. auto: submission if the shards have a sample submission, else "
            "labels or masks.",
        )
    )
    out: str | None = setting(
        None,
        "File to write, or folder for masks.  [default: submission.csv, predictions.csv, "
        "predictions.npz or masks]",
        metavar="PATH",
    )
    tta: Literal["none", "flip"] = setting(
        "none", "flip: average the predictions over each image and its horizontal flip."
    )
    positive_class: str | None = setting(
        None,
        "Class whose probability, or mask, a single column of a submission gets.  [default: the "
        "last of two classes]",
        metavar="CLASS",
        only_with="--format auto|submission",
        not_with="--src",
    )
    threshold: float | None = setting(
        None,
        "Multi-label: probability from which an image has a label.  [default: 0.5]",
        FRACTION,
        only_with="--format auto|submission|labels",
    )
    missing: Literal["fail", "keep"] = setting(
        "fail",
        "Rows of the sample submission whose id no sample has. fail: stop with an error; keep: "
        "write the row as it is there.",
        only_with="--format auto|submission",
        not_with="--src",
    )
    batch_size: int = setting(
        64, "Images that a rank predicts at a time. The last bits of an output depend on it.", COUNT
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.src is not None and self.split != "test":
            raise MisuseError("--src and --split exclude each other: image files have no split.")
        if self.src is not None and self.format == "submission":
            raise MisuseError(
                "--src and --format submission exclude each other: image files have no sample "
                "submission. Pass --format labels, probabilities, npz, masks or rle."
            )

"""Parts of the training samples, on each of which a study trains for a learning curve."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.config import PipelineConfig
from pipeline.errors import MisuseError
from trainer.data import open_data

# Settings in epochs.
LENGTHS = (
    *("epochs", "warmup_epochs", "freeze_backbone_epochs", "val_every", "checkpoint_every"),
    "progressive_epochs",
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """`text` is the value of --train-samples, `samples` the number that it makes."""

    text: str
    samples: int


def open_parts(texts: Sequence[str], pipeline: PipelineConfig) -> tuple[Part, ...]:
    """The parts in ascending order. Raises ``MisuseError`` for one that can't be drawn, or if all
    have the same samples."""
    parts: dict[int, Part] = {}
    for text in texts:
        data = open_data(replace(pipeline, train_samples=text), synthetic=False)
        parts.setdefault(data.samples, Part(text=text, samples=data.samples))
    if len(parts) < 2:
        raise MisuseError(
            f"--train-samples {','.join(texts)}: all parts have the same {min(parts):,} samples: "
            f"give several, such as 10%,30%,100%."
        )
    return tuple(parts[samples] for samples in sorted(parts))


def options_of_part(
    part: Part, largest: Part, settings: Mapping[str, Any], *, fixed: frozenset[str]
) -> dict[str, Any]:
    """The settings of trainings on `part`. All parts take as many steps: lengths in epochs are
    those of `settings` for the `largest` part, without those in `fixed`."""
    times = largest.samples / part.samples
    lengths = {name: settings[name] for name in LENGTHS if name not in fixed}
    options: dict[str, Any] = {
        name: max(1, round(times * value)) if isinstance(value, int) else times * value
        for name, value in lengths.items()
        if value is not None
    }
    return {"train_samples": part.text, **options}

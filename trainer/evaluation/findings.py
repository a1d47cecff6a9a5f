"""What the scores of an evaluation hide at first sight, in sentences."""

from collections.abc import Mapping

from pipeline.text import join_names, plural
from trainer.tasks.metric_names import COLUMN_NAMES, metric_text
from trainer.tasks.scores import Evaluation


def findings(evaluation: Evaluation) -> list[str]:
    """Sentences about an accuracy that the most frequent class alone reaches, classes of which no
    sample was predicted correctly, and targets that are not predicted better than by their mean."""
    columns = evaluation.columns()
    unit = "pixel" if "pixels" in columns else "image"
    numbers = columns.get("pixels" if unit == "pixel" else "samples", {})
    return [
        *_not_above_majority(evaluation, numbers),
        *_never_found(columns.get("recall", {}), numbers, unit),
        *_not_below_mean(columns),
    ]


def _not_above_majority(evaluation: Evaluation, numbers: Mapping[str, float]) -> list[str]:
    sentences = []
    for name in ("top1", "pixel_accuracy"):
        share, value = evaluation.baselines.get("majority_share"), evaluation.metrics.get(name)
        if share is None or value is None or value > share:
            continue
        title, text = metric_text(name, value)
        largest = max(numbers, key=lambda one: numbers[one])
        sentences.append(
            f"{title[0].upper()}{title[1:]} ({text}) is not above the majority's share: to answer "
            f"{largest!r} each time reaches {metric_text('majority_share', share)[1]}."
        )
    return sentences


def _never_found(recall: Mapping[str, float], numbers: Mapping[str, float], unit: str) -> list[str]:
    """`recall` has the classes with samples only."""
    missed = [f"{name!r} ({numbers[name]:,})" for name, value in recall.items() if not value]
    if not missed:
        return []
    of = missed[0] if len(missed) == 1 else plural(len(missed), "class")
    names = "" if len(missed) == 1 else f": {join_names(missed)}"
    return [f"No {unit} of {of} was predicted correctly{names}."]


def _not_below_mean(columns: Mapping[str, Mapping[str, float]]) -> list[str]:
    spec = COLUMN_NAMES["rmse"][1]
    means, errors = columns.get("rmse_of_mean", {}), columns.get("rmse", {})
    named = [
        f"{name!r} ({errors[name]:{spec}}, the mean {mean:{spec}})"
        for name, mean in means.items()
        if errors[name] >= mean
    ]
    if not named:
        return []
    return [f"The RMSE is not below that of predicting the mean for {join_names(named)}."]

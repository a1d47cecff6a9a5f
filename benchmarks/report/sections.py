"""The sections of a page, from the inputs that were given."""

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.measuring.result_file import (
    BY_STAGE,
    COMPUTE,
    KINDS,
    PREDICTION,
    SCALING,
    STUDY,
    SWEEP,
    TRAININGS,
)
from benchmarks.report.bar_charts import compute_panel, rates_panel, result_panel, stages_panel
from benchmarks.report.headline import write_headline
from benchmarks.report.inputs import Inputs, Result, read_inputs
from benchmarks.report.page import Page, Section, Table, as_html, write_page
from benchmarks.report.panels import Panel
from benchmarks.report.prediction import prediction_panels
from benchmarks.report.scaling import scaling_panels
from benchmarks.report.study import study_section
from benchmarks.report.tables import (
    checks_table,
    figures_table,
    machine_table,
    origins_table,
    predictions_table,
    trainings_table,
)
from benchmarks.report.training_runs import run_panels, runs_table
from benchmarks.scaling.record import read_points
from benchmarks.scaling.text import failed_checks
from pipeline.console import print_line
from pipeline.errors import DataError

# What calculations and matplotlib raise for entries that have valid types and don't fit together.
_MISFITS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def write_report(paths: Sequence[Path], folder: Path) -> None:
    """Write the page of the results and runs in `paths` to `folder`, and print its headline.

    Raises ``DataError`` for a damaged or edited input, or if `folder` can't be written.
    """
    inputs = read_inputs(paths)
    try:
        page = build_page(inputs)
        html, markdown = write_page(page, folder)
    except _MISFITS as error:
        require_consistent(inputs)
        raise error
    print_line(f"{page.headline}\nHTML: {html.resolve()}\nMarkdown: {markdown.resolve()}")
    if page.absent:
        print_line(page.absent)


def require_consistent(inputs: Inputs) -> None:
    """Raise ``DataError`` for a result whose entries don't fit together, so that no page can be
    made of it alone."""
    for result in inputs.results:
        try:
            as_html(build_page(Inputs(results=(result,), runs=())))
        except _MISFITS as error:
            raise DataError(
                f"{result.path} can't be shown: its entries don't fit together "
                f"({type(error).__name__}: {error}). Measure again, or get the original."
            ) from error


def build_page(inputs: Inputs) -> Page:
    """A page with a section for each kind of input that was given."""
    sections = [
        *_of(STUDY, study_section, inputs),
        _overview(inputs),
        *_of(SCALING, _scaling, inputs),
        _loader(inputs),
        *_of(PREDICTION, _prediction, inputs),
        *_of(TRAININGS, _trainings, inputs),
        *([_runs(inputs)] if inputs.runs else []),
        _others(inputs),
        *([_origins(inputs)] if inputs.results else []),
    ]
    return Page(
        headline=write_headline(inputs),
        about=_about(inputs),
        sections=[section for section in sections if section.panels or section.tables],
        absent=_absent(inputs),
    )


def _of(kind: str, section: Callable[[Result], Section], inputs: Inputs) -> list[Section]:
    return [section(result) for result in inputs.all(kind)[-1:]]


def _about(inputs: Inputs) -> str:
    """What was measured, on which machines, on which days."""
    shown = [result for kind in KINDS if (result := inputs.last(kind)) is not None]
    titles = dict.fromkeys(str(result.bundle["benchmark"]) for result in shown or inputs.results)
    runs = [f"training: {', '.join(run.name for run in inputs.runs)}"] if inputs.runs else []
    facts = [result.environment for result in inputs.results]
    machines = dict.fromkeys(f"{machine['cpu']}, {machine['cpus']} cores" for machine in facts)
    days = sorted({str(machine["time"])[:10] for machine in facts})
    period = [" to ".join(dict.fromkeys((days[0], days[-1])))] if days else []
    sentences = ["; ".join((*titles, *runs)), "; ".join((*machines, *period))]
    return ". ".join(filter(None, sentences)) + "."


def _overview(inputs: Inputs) -> Section:
    computes, rates = inputs.all(COMPUTE)[-1:], rates_panel(inputs)
    return Section(
        title="Input and compute",
        panels=[*([rates] if rates else []), *map(compute_panel, computes)],
        tables=[("Figures of the model", figures_table(compute)) for compute in computes],
    )


def _scaling(result: Result) -> Section:
    points = read_points(result.bundle)
    return Section(
        title="Scaling",
        panels=scaling_panels(points),
        notes=[
            *(warning.strip(" !") for warning in failed_checks(points)),
            *(point.sentence for point in points),
        ],
        tables=[("Figures", figures_table(result))],
    )


def _loader(inputs: Inputs) -> Section:
    stages, sweeps = inputs.all(BY_STAGE)[-1:], inputs.all(SWEEP)
    findings = [row for result in stages for row in result.bundle.get("findings", [])]
    return Section(
        title="Loader",
        panels=[*map(stages_panel, stages), *_numbered("sweep", sweeps)],
        tables=[
            *(("Figures of the stages", figures_table(result)) for result in stages),
            *_figures(sweeps),
        ],
        notes=[f"{row['fact']}: {row['advice']}." for row in findings if row["advice"]],
    )


def _numbered(name: str, results: Sequence[Result]) -> list[Panel]:
    return [result_panel(result, name=f"{name}-{n}") for n, result in enumerate(results)]


def _figures(results: Sequence[Result]) -> list[tuple[str, Table]]:
    return [(f"Figures: {r.bundle['benchmark']}", figures_table(r)) for r in results]


def _prediction(result: Result) -> Section:
    comparison = [("Comparison with measurements", checks_table(result))]
    return Section(
        title="Prediction for more ranks",
        panels=prediction_panels(result),
        notes=result.bundle["assumptions"],
        tables=[
            *(comparison if result.bundle["checks"] else []),
            ("Predictions", predictions_table(result)),
        ],
    )


def _trainings(result: Result) -> Section:
    return Section(
        title="Trainings by number of ranks",
        panels=[result_panel(result, name="trainings")],
        tables=[("Time and accuracy", trainings_table(result))],
    )


def _runs(inputs: Inputs) -> Section:
    tables = [("Time to accuracy", runs_table(inputs.runs))]
    return Section(title="Training runs", panels=run_panels(inputs.runs), tables=tables)


def _others(inputs: Inputs) -> Section:
    results = [result for result in inputs.results if result.kind not in KINDS]
    panels, tables = _numbered("other", results), _figures(results)
    return Section(title="Other measurements", panels=panels, tables=tables)


def _origins(inputs: Inputs) -> Section:
    tables = [
        ("Machine and versions", machine_table(inputs.results)),
        ("Origin of each result", origins_table(inputs.results)),
    ]
    return Section(title="Machine, versions and commands", tables=tables)


def _absent(inputs: Inputs) -> str | None:
    if inputs.last(STUDY) is not None:
        # A study measures loader and model itself.
        return None
    parts = {
        "the loader (bench-loader)": inputs.last(BY_STAGE),
        "the model (bench-compute)": inputs.last(COMPUTE),
        "scaling (bench-scaling)": inputs.last(SCALING),
        "a prediction (bench-predict)": inputs.last(PREDICTION),
        "time to accuracy (the folder of a run)": inputs.runs,
    }
    missing = [name for name, part in parts.items() if not part]
    return f"Not included: {', '.join(missing)}." if missing else None

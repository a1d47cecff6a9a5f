"""Which sections a page has, from what was given."""

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
from benchmarks.report.bar_charts import compute_panel, rates_panel, result_panel, rungs_panel
from benchmarks.report.headline import verdict
from benchmarks.report.inputs import Inputs
from benchmarks.report.page import Page, Section
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


def build_page(inputs: Inputs) -> Page:
    sections = (
        study_section(inputs),
        _overview(inputs),
        _scaling(inputs),
        _loader(inputs),
        _prediction(inputs),
        _trainings(inputs),
        _runs(inputs),
        _others(inputs),
        _origins(inputs),
    )
    return Page(
        verdict=verdict(inputs),
        about=_about(inputs),
        sections=tuple(section for section in sections if section is not None),
        absent=_absent(inputs),
    )


def _about(inputs: Inputs) -> str:
    """Of what, on what, when."""
    shown = [result for kind in KINDS if (result := inputs.last(kind)) is not None]
    titles = (str(result.bundle["benchmark"]) for result in shown or inputs.results)
    parts = list(dict.fromkeys(titles))
    if inputs.runs:
        parts.append(f"training: {', '.join(run.name for run in inputs.runs)}")
    machines = dict.fromkeys(
        f"{result.environment['cpu']}, {result.environment['cpus']} cores"
        for result in inputs.results
    )
    days = sorted({str(result.environment["time"])[:10] for result in inputs.results})
    ends = [*machines, " to ".join(dict.fromkeys((days[0], days[-1])))] if days else []
    return f"{'; '.join(parts)}. {'; '.join(ends)}".strip().removesuffix(".") + "."


def _overview(inputs: Inputs) -> Section | None:
    panels = [panel for panel in (rates_panel(inputs), compute_panel(inputs)) if panel]
    compute = inputs.last(COMPUTE)
    tables = (("Figures of the model", figures_table(compute)),) if compute else ()
    if not panels:
        return None
    return Section(title="Input beside compute", panels=tuple(panels), tables=tables)


def _scaling(inputs: Inputs) -> Section | None:
    result = inputs.last(SCALING)
    if result is None:
        return None
    points = read_points(result.bundle)
    return Section(
        title="More ranks",
        panels=tuple(scaling_panels(inputs)),
        notes=(
            *(said.strip(" !") for said in failed_checks(points)),
            *(point.sentence for point in points),
        ),
        tables=(("Figures", figures_table(result)),),
    )


def _loader(inputs: Inputs) -> Section | None:
    result, panel = inputs.last(BY_STAGE), rungs_panel(inputs)
    panels = [panel] if panel else []
    tables = [("Figures of the stages", figures_table(result))] if result else []
    for number, sweep in enumerate(inputs.all(SWEEP)):
        panels.append(result_panel(sweep, name=f"sweep-{number}"))
        tables.append((f"Figures: {sweep.bundle['benchmark']}", figures_table(sweep)))
    if not panels:
        return None
    advice = [
        f"{finding['fact']}: {finding['advice']}."
        for finding in (result.bundle.get("findings", []) if result else [])
        if finding["advice"]
    ]
    return Section(
        title="The loader", panels=tuple(panels), tables=tuple(tables), notes=tuple(advice)
    )


def _prediction(inputs: Inputs) -> Section | None:
    result = inputs.last(PREDICTION)
    if result is None:
        return None
    checks = checks_table(result)
    return Section(
        title="What more ranks would give",
        panels=tuple(prediction_panels(inputs)),
        notes=tuple(result.bundle["assumptions"]),
        tables=(
            *((("Beside what was measured", checks),) if checks else ()),
            ("Predictions", predictions_table(result)),
        ),
    )


def _runs(inputs: Inputs) -> Section | None:
    if not inputs.runs:
        return None
    return Section(
        title="Training",
        panels=tuple(run_panels(inputs.runs)),
        tables=(("Time to accuracy", runs_table(inputs.runs)),),
    )


def _trainings(inputs: Inputs) -> Section | None:
    result = inputs.last(TRAININGS)
    if result is None:
        return None
    return Section(
        title="Whole trainings at each size",
        panels=(result_panel(result, name="trainings"),),
        tables=(("Time and accuracy", trainings_table(result)),),
    )


def _others(inputs: Inputs) -> Section | None:
    results = inputs.others()
    if not results:
        return None
    return Section(
        title="Other measurements",
        panels=tuple(result_panel(each, name=f"other-{n}") for n, each in enumerate(results)),
        tables=tuple(
            (f"Figures: {each.bundle['benchmark']}", figures_table(each)) for each in results
        ),
    )


def _origins(inputs: Inputs) -> Section | None:
    if not inputs.results:
        return None
    return Section(
        title="Machine, versions, commands",
        tables=(
            ("Machine and versions", machine_table(inputs.results)),
            ("Where each result comes from", origins_table(inputs.results)),
        ),
    )


def _absent(inputs: Inputs) -> str | None:
    if inputs.last(STUDY) is not None:
        # Whole in itself: its ladder has loader and model.
        return None
    known = {
        "the loader (bench-loader)": inputs.last(BY_STAGE),
        "the model alone (bench-compute)": inputs.last(COMPUTE),
        "more ranks (bench-scaling)": inputs.last(SCALING),
        "a prediction (bench-predict)": inputs.last(PREDICTION),
        "time to accuracy (the folder of a run)": inputs.runs or None,
    }
    missing = [name for name, found in known.items() if found is None]
    return f"Not among what was given: {', '.join(missing)}." if missing else None

"""What will be slow, before a run: the shards, the machine, and the first bottleneck."""

from dataclasses import asdict

from rich.console import Console

from benchmarks.loader.by_stage import find_limit, rung_contenders, stage_shares
from benchmarks.loader.config import STAGES, LoaderBenchmark
from benchmarks.loader.health_checks import Finding, data_findings, machine_findings
from benchmarks.loader.setup import open_setup
from benchmarks.loader.timed_batches import COLUMNS
from benchmarks.measuring.alternate import alternate
from benchmarks.measuring.table import figure_columns, report
from pipeline.config import PipelineConfig

# The measurement is to tell stages apart, not per cents.
RUNS = 3


def measure_health(benchmark: LoaderBenchmark, config: PipelineConfig) -> None:
    """Print a line for each finding, then the rungs and the first bottleneck."""
    with open_setup(benchmark, config) as setup:
        facts = setup.facts()
        findings = [
            *data_findings(setup.index, config, setup.image_size_px),
            *machine_findings(
                config,
                ranks=setup.ranks,
                split_bytes=setup.split_bytes,
                fits_in_page_cache=facts["fits_in_page_cache"],
                shards=len(setup.files),
            ),
        ]
        _print(findings)
        contenders = rung_contenders(setup, can_be_cold=False)
        rows = alternate(contenders, runs=RUNS)
        figures = {name: each.figures(RUNS) for name, each in contenders.items()}
    shares = stage_shares({name: row.median for name, row in zip(STAGES, rows, strict=True)})
    report(
        f"loader, expected: {setup.title}",
        "images/s",
        rows,
        kind="bench-loader --doctor",
        facts=facts
        | {
            "findings": [asdict(finding) for finding in findings],
            "figures": figures,
            "share_of_time": shares,
        },
        columns=figure_columns(figures, COLUMNS),
        ratios=False,
        notes=setup.warnings(facts),
        finding=find_limit({row.name: row for row in rows}, shares),
        output=benchmark.output,
    )


def _print(findings: list[Finding]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for finding in findings:
        mark, style = ("!", "bold yellow") if finding.advice else ("ok", "green")
        console.print(f"{mark:>2} ", end="", style=style)
        console.print(str(finding), markup=False)

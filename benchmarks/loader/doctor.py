"""bench-loader --doctor: causes of slow loading in shards and machine, and the slowest stage."""

from benchmarks.loader.by_stage import describe_limit, stage_candidates, stage_shares
from benchmarks.loader.config import STAGES, LoaderBenchmark
from benchmarks.loader.health_checks import Finding, check_data, check_machine
from benchmarks.loader.process_limits import check_limits, read_limits
from benchmarks.loader.setup import open_setup
from benchmarks.loader.time_plan import measure
from pipeline.config import PipelineConfig
from pipeline.console import open_console

# Enough to find the slowest stage.
RUNS = 3


def measure_health(benchmark: LoaderBenchmark, config: PipelineConfig) -> None:
    """Print the findings, then measure the stages and report the slowest."""
    with open_setup(benchmark, config) as setup:
        findings = [
            *check_data(setup.index, config, setup.image_size_px),
            *check_limits(read_limits(), ranks=setup.ranks, shards=len(setup.files)),
            *check_machine(
                config,
                ranks=setup.ranks,
                split_bytes=setup.split_bytes,
                fits_in_page_cache=setup.fits_in_page_cache,
            ),
        ]
        _print(findings)
        candidates = stage_candidates(setup, with_cold=False)
        rows = measure(setup, candidates, runs=RUNS)
    shares = stage_shares({name: row.median for name, row in zip(STAGES, rows, strict=True)})
    setup.report(
        "loader, expected",
        rows,
        {row.name: candidates[row.name].figures(len(row.values)) for row in rows},
        kind="bench-loader --doctor",
        facts={"findings": [finding._asdict() for finding in findings], "share_of_time": shares},
        finding=describe_limit({row.name: row for row in rows}, shares),
    )


def _print(findings: list[Finding]) -> None:
    console = open_console(soft_wrap=True)
    for finding in findings:
        mark, style = ("!", "bold yellow") if finding.advice else ("ok", "green")
        console.print(f"{mark:>2} ", end="", style=style)
        console.print(str(finding))

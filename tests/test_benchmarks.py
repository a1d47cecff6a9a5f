"""Benchmarks measure what they say; how fast it is, no test asserts."""

from pathlib import Path

from benchmarks.plots import RunFigures, draw_run


def figures(loader_rate: float) -> RunFigures:
    intervals = [
        {"kind": "train", "images": 100, "seconds": 2.0, "data_seconds_max": 0.5},
        {"kind": "train", "images": 100, "seconds": 2.0, "data_seconds_max": 1.5},
    ]
    evaluations = [{"kind": "evaluation", "epoch": epoch, "top1": epoch / 4} for epoch in (1, 2)]
    return RunFigures.collect(
        metrics=intervals + evaluations,
        loader={"median": {"full": loader_rate}},
        command_seconds={"tools/shard": 1.0, "bench-loader": 2.0, "python": 10.0},
    )


def test_figures_of_a_run() -> None:
    run = figures(80.0)
    assert (run.compute, run.training, run.best_top1) == (100.0, 50.0, 0.5)
    assert sum(seconds for _, seconds in run.stages) == 13.0
    assert run.verdict().startswith("Input is the limit: the loader alone gives 80")
    assert figures(120.0).verdict().startswith("Compute is the limit")


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "run.png"
    draw_run(figures(80.0), path)
    assert path.read_bytes().startswith(b"\x89PNG")

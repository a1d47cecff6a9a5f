"""The command for a GPU: its parts accept their options and do not stop each other."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.on_gpu import GpuRun, Part, main, parts, run


def test_every_part_accepts_its_options(tmp_path: Path) -> None:
    from benchmarks.compute import __main__ as compute
    from benchmarks.loader import __main__ as loader
    from benchmarks.peers import __main__ as peers
    from benchmarks.report import __main__ as report
    from benchmarks.scaling import __main__ as scaling
    from trainer import __main__ as trainer

    commands = {
        "benchmarks.peers": peers.main,
        "benchmarks.loader": loader.main,
        "benchmarks.compute": compute.main,
        "benchmarks.report": report.main,
        "benchmarks.scaling": scaling.main,
        "trainer": trainer.main,
    }
    config = GpuRun(src=str(tmp_path), out=str(tmp_path / "out"))
    planned = parts(config, {"jpeg": tmp_path / "shards"})
    assert len({part.name for part in planned}) == len(planned)
    assert {part.module for part in planned} == {*commands, "pytest"}
    for part in planned:
        if part.module in commands:
            # Raises UsageError for options that the command doesn't have, or values out of range.
            commands[part.module].make_context(part.name, [*part.arguments])


def test_a_cpu_skips_the_sweep_of_the_hardware_decoder(tmp_path: Path) -> None:
    shards = {"jpeg": tmp_path / "shards"}
    names = {
        device: {part.name for part in parts(GpuRun(src=str(tmp_path), device=device), shards)}
        for device in ("cpu", "cuda")
    }
    assert names["cuda"] - names["cpu"] == {"sweep-hw-decoder-load"}
    assert names["cpu"] < names["cuda"]


@pytest.mark.parametrize(
    ("code", "limit_seconds", "exit_code", "printed"),
    [
        ("print(6 * 7)", 20, 0, "42"),
        ("import time; print(1, flush=True); time.sleep(60)", 2, None, "1"),
    ],
)
def test_a_part_is_stopped_at_its_limit(
    tmp_path: Path, code: str, limit_seconds: float, exit_code: int | None, printed: str
) -> None:
    # timeit runs its statement in the part's own process.
    part = Part(name="one", module="timeit", arguments=("-n1", "-r1", code), measures=False)
    outcome = run(part, tmp_path, limit_seconds)
    assert outcome.exit_code == exit_code
    assert printed in outcome.printed.split()
    assert printed in (tmp_path / "one.log").read_text()


def test_a_used_folder_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    result = CliRunner().invoke(main, ["--src", str(tmp_path), "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "is not empty: give a new or empty folder" in result.output

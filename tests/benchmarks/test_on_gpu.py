"""The one command for a GPU: its parts take the options that they get, and none stops another."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.on_gpu import GpuRun, Part, main, parts, run


def test_every_part_takes_its_options(tmp_path: Path) -> None:
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
    asked = GpuRun(src=str(tmp_path), out=str(tmp_path / "out"))
    found = parts(asked, {"jpeg": tmp_path / "shards"})
    assert len({part.name for part in found}) == len(found)
    assert {part.module for part in found} == {*commands, "pytest"}
    for part in found:
        if part.module in commands:
            # Raises UsageError for options that the command doesn't have, or values out of range.
            commands[part.module].make_context(part.name, [*part.arguments])


def test_without_a_gpu_what_only_a_gpu_has_is_left_out(tmp_path: Path) -> None:
    shards = {"jpeg": tmp_path / "shards"}
    found = {
        device: {part.name for part in parts(GpuRun(src=str(tmp_path), device=device), shards)}
        for device in ("cpu", "cuda")
    }
    assert found["cuda"] - found["cpu"] == {"sweep-hw-decoder-load"} and found["cpu"]


@pytest.mark.parametrize(
    ("code", "limit_seconds", "exit_code", "printed"),
    [
        ("print(6 * 7)", 20, 0, "42"),
        ("import time; print(1, flush=True); time.sleep(60)", 2, None, "1"),
    ],
)
def test_a_part_ends_within_its_limit(
    tmp_path: Path, code: str, limit_seconds: float, exit_code: int | None, printed: str
) -> None:
    # timeit runs its statement in the part's own process.
    part = Part(name="one", module="timeit", arguments=("-n1", "-r1", code), measures=False)
    outcome = run(part, tmp_path, limit_seconds)
    assert outcome.exit_code == exit_code
    assert printed in outcome.printed.split()
    assert printed in (tmp_path / "one.log").read_text()


def test_a_used_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    result = CliRunner().invoke(main, ["--src", str(tmp_path), "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "holds something already" in result.output

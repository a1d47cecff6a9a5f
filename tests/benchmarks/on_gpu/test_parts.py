"""The parts of the command for a GPU: their options, their choice, and small runs on the CPU."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import click
import numpy as np
import pytest
import torch

from benchmarks.measuring.provenance import ROOT
from benchmarks.on_gpu import gpu_tests, results
from benchmarks.on_gpu.__main__ import main
from benchmarks.on_gpu.command_runs import CommandRun, environment
from benchmarks.on_gpu.config import COMPUTE, GROUPS, GpuRun
from benchmarks.on_gpu.decode import compare
from benchmarks.on_gpu.determinism import count_differences, pixel_sum
from benchmarks.on_gpu.gpu_tests import run_gpu_tests, write_archive
from benchmarks.on_gpu.parts import PARTS, select
from benchmarks.on_gpu.trainings import training_options
from pipeline.errors import DataError, MisuseError
from pipeline.storage.dataset import Dataset
from tests.helpers.cli import invoke
from tests.helpers.data import make_shards
from trainer.config import Settings

# Imports of DALI fail in a process that finds this file on its path.
NO_DALI = """
import sys
class NoDali:
    def find_spec(self, name, path=None, target=None):
        if name == "nvidia.dali":
            raise ImportError("no DALI here")
sys.meta_path.insert(0, NoDali())
"""


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_every_command_accepts_its_options(tmp_path: Path, device: str) -> None:
    from benchmarks.compute import __main__ as compute
    from benchmarks.loader import __main__ as loader
    from benchmarks.peers import __main__ as peers
    from benchmarks.scaling import __main__ as scaling

    commands: dict[str, click.Command] = {
        "benchmarks.compute": compute.main,
        "benchmarks.loader": loader.main,
        "benchmarks.peers": peers.main,
        "benchmarks.scaling": scaling.main,
    }
    config = GpuRun(src=str(tmp_path), data=str(tmp_path), device=device)  # type: ignore[arg-type]
    runs = [part.run for part in select(config) if isinstance(part.run, CommandRun)]
    assert {run.module for run in runs} == {*commands}
    for run in runs:
        # Raises UsageError for options that the command doesn't have, or values out of range.
        commands[run.module].make_context(run.module, run.words(config))


def test_on_a_gpu_two_commands_run_as_typed() -> None:
    runs = {part.name: part.run for part in PARTS}
    for name, typed in (("loader", ["--threads", "16"]), ("scaling", ["--ranks", "1"])):
        run = runs[name]
        assert isinstance(run, CommandRun)
        assert run.words(GpuRun(device="cuda")) == typed


def test_trainings_have_options_of_the_trainer(tmp_path: Path) -> None:
    config = GpuRun(data=str(tmp_path), device="cpu")
    settings = Settings.from_options(**training_options(config, "synthetic"))
    assert settings.machine.synthetic
    assert settings.run.max_minutes is None  # a busy machine makes as many steps
    timed = Settings.from_options(**training_options(GpuRun(device="cuda"), "synthetic"))
    assert timed.run.max_minutes == 0.25


def test_parts_are_chosen_by_name_and_group() -> None:
    assert len({part.name for part in PARTS}) == len(PARTS)
    assert not {part.name for part in PARTS} & set(GROUPS)
    chosen = select(GpuRun(parts=("scaling", "compute")))
    assert [part.name for part in chosen] == ["machine", "eager", "one-rank", "compiled", "scaling"]
    on_gpu, on_cpu = (select(GpuRun(device=device)) for device in ("cuda", "cpu"))  # type: ignore[arg-type]
    assert {part.name for part in on_gpu} - {part.name for part in on_cpu} == {
        *("compiled", "hw-decoder-load", "graphs", "device-cache")
    }
    with pytest.raises(MisuseError, match=r"there is no part compile\. The groups are compute, "):
        select(GpuRun(parts=("compile",)))


@pytest.mark.long
def test_the_parts_of_compute_import_no_dali(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_DALI)
    modules = ["machine", "one_rank", "part", "__main__"]
    code = f"import {', '.join(f'benchmarks.on_gpu.{name}' for name in modules)}\n"
    code += "import benchmarks.compute.by_batch_size\n"
    variables = environment(GpuRun(device="cpu"))
    variables["PYTHONPATH"] = f"{tmp_path}:{variables['PYTHONPATH']}"
    for wanted, more in ((0, ""), (1, "import pipeline.dali.decode_graph")):
        command = [sys.executable, "-c", code + more]
        ended = subprocess.run(
            command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
        )
        assert ended.returncode == wanted, ended.stderr
    assert "no DALI here" in ended.stderr


def test_a_few_parts_run_on_the_cpu(tmp_path: Path) -> None:
    out, names = tmp_path / "out", "decode-whole-444,machine"
    words = ("--device", "cpu", "--out", out, "--data", tmp_path / "data", "--parts", names)
    result = invoke(main, *words)
    assert result.exit_code == 0, result.output
    machine, decoded = results.read(out)
    assert machine.outcome == decoded.outcome == "passed"
    assert machine.result is not None and machine.result["environment"]["cpus"]
    assert decoded.result is not None
    (figures,) = decoded.result["figures"].values()
    assert figures["cpu_milliseconds"] > 0
    assert figures["largest_difference"] == 0
    assert "| whole image, then slice, 4:4:4 |" in result.output
    assert (out / "tables.md").read_text() in result.output


def test_the_tests_can_read_the_photographs(tmp_path: Path) -> None:
    write_archive(GpuRun(data=str(tmp_path / "data"), device="cpu"), tmp_path)
    with tarfile.open(tmp_path / "imagenet_sample.tar") as archive:
        archive.extractall(tmp_path, filter="data")
    # As tests/conftest.py writes them.
    options = ("--encode", "keep", "--label-column", "class_id")
    shards = make_shards(tmp_path / "imagenet_sample", tmp_path / "shards", *options)
    manifest = Dataset(shards).manifest
    assert sum(split.samples for split in manifest.splits.values()) == 16
    assert len(manifest.classes) == 10


def test_pixels_that_differ_are_found() -> None:
    crops = [np.zeros((4, 5, 3), np.uint8), np.full((2, 3, 3), 250, np.uint8)]
    other = [crops[0], crops[1].copy()]
    assert set(compare(crops, other).values()) == {0.0, 1.0}
    other[1][0, 0, 0] = 8
    figures = compare(crops, other)
    assert figures["largest_difference"] == 242
    assert figures["equal_crops"] == 0.5


def test_sums_of_pixels_depend_on_their_places() -> None:
    images = torch.randint(256, (2, 3, 8, 8), dtype=torch.uint8)
    images[0, 0, 0, 0], images[1, 2, 7, 7] = 1, 2
    swapped = images.clone()
    swapped[0, 0, 0, 0], swapped[1, 2, 7, 7] = 2, 1
    assert pixel_sum(images) == pixel_sum(images.clone()) != pixel_sum(swapped)
    assert count_differences([1, 2, 3], [(1, 1), (2, 5), (4, 4)]) == 2


@pytest.mark.long
def test_the_whole_command_runs_on_the_cpu(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_DALI)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "benchmarks.on_gpu", "--device", "cpu", "--out", str(out)]
    command += ["--data", str(tmp_path / "data")]
    variables = environment(GpuRun(device="cpu"))
    without_dali = variables | {"PYTHONPATH": f"{tmp_path}:{variables['PYTHONPATH']}"}
    others = ",".join(group for group in GROUPS if group != COMPUTE)
    for parts, each in ((COMPUTE, without_dali), (others, variables)):
        ended = subprocess.run(
            [*command, "--parts", parts], cwd=ROOT, env=each, capture_output=True, check=False
        )
        assert ended.returncode == 0, ended.stderr.decode()
    ends = results.read(out)
    assert [end.part for end in ends] == [part.name for part in select(GpuRun(device="cpu"))]
    assert {end.outcome for end in ends} == {"passed"}
    assert sorted(path.name for path in out.iterdir()) == [
        *("parts.log", "results.jsonl", "tables.md")
    ]
    assert len(json.dumps([end.result for end in ends])) < 2**20


def test_an_installation_has_no_tests_to_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else pytest would collect those of all installed packages."""
    monkeypatch.setattr(gpu_tests, "ROOT", tmp_path)
    with pytest.raises(DataError, match="run this command in a clone"):
        run_gpu_tests(GpuRun(src="nowhere", out=str(tmp_path)))

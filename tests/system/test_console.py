"""``shardline``: every command by one name, which no file in the current folder hides."""

import json
import os
import re
import shutil
import sys
import tomllib
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from shardline.__main__ import BENCHMARKS, COMMANDS, shardline
from tests.helpers.cli import invoke
from tests.helpers.console_script import HIDING, ROOT, hide_modules, run, write_script
from tests.helpers.processes import lines, run_torchrun

NAMES = [*((name,) for name in COMMANDS), *(("bench", name) for name in BENCHMARKS)]
SHARD = ("shard", "--src", "kaggle", "--out", "shards", "--workers", "2")
TRAIN = (
    *("train", "--model", "resnet8", "--shards", "shards", "--out", "run"),
    *("--epochs", "1", "--global-batch-size", "16", "--threads", "1", "--device", "cpu"),
)


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_script(tmp_path_factory.mktemp("installed") / "bin")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a user, with files that hide ours."""
    hide_modules(tmp_path)
    return tmp_path


@pytest.mark.parametrize("words", [(), ("bench",)], ids=["shardline", "bench"])
def test_help_lists_every_command_and_imports_none(
    script: Path, folder: Path, words: tuple[str, ...]
) -> None:
    """With ``-X importtime`` Python lists what it imports."""
    result = run([script, *words, "--help"], folder, PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) < 80
    names = [name for *group, name in NAMES if tuple(group) == words]
    listed = re.findall(r"^  (\w+) ", result.stdout.partition("Commands:")[2], re.MULTILINE)
    assert [name for name in listed if name != "bench"] == names
    imported = set(re.findall(r"\| +([\w.]+)$", result.stderr, re.MULTILINE))
    assert "click" in imported
    heavy = {"numpy", "torch", "nvidia", "cv2", "rich", "tools.cli", "trainer.config"}
    assert not imported & heavy


def test_every_script_has_its_command() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    modules = {target.partition(":")[0] for name, target in scripts.items() if name != "shardline"}
    assert modules <= {module for module, _ in [*COMMANDS.values(), *BENCHMARKS.values()]}


@pytest.mark.parametrize("words", NAMES, ids=" ".join)
def test_usage_says_the_whole_name(words: tuple[str, ...]) -> None:
    result = invoke(shardline, *words, "--help")
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Usage: shardline {' '.join(words)} [OPTIONS]")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("trian",), "There is no command 'trian': choose one of shard, check, show, train,"),
        (("bench", "speed"), "There is no command 'speed': choose one of loader, compute,"),
        (("train", "--epoch", "3"), "Try 'shardline train --help' for help."),
        (("--fast",), "No such option"),
    ],
)
def test_wrong_names(words: tuple[str, ...], said: str) -> None:
    result = invoke(shardline, *words)
    assert (result.exit_code, said in result.output) == (2, True), result.output


def test_arguments_and_the_environment_reach_a_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_VERIFY", "1")
    result = invoke(shardline, "bench", "report", "none.json")
    assert (result.exit_code, "1 of 1 inputs are invalid" in result.output) == (1, True)


def few_digits(digits_kaggle: Path, folder: Path, count: int = 64) -> None:
    """A download of some of the digits in `folder`/kaggle."""
    (folder / "kaggle" / "train").mkdir(parents=True)
    header, *rows = (digits_kaggle / "train.csv").read_text().splitlines()
    (folder / "kaggle" / "train.csv").write_text("\n".join([header, *rows[:count]]) + "\n")
    for row in rows[:count]:
        name = f"{row.split(',')[0]}.png"
        shutil.copy(digits_kaggle / "train" / name, folder / "kaggle" / "train")


def test_no_file_hides_ours_from_worker_processes(
    script: Path, folder: Path, digits_kaggle: Path
) -> None:
    """Of the script ``shard`` as well, which is no command of ``shardline``."""
    few_digits(digits_kaggle, folder)
    for command in (
        (write_script(script.parent, "shard"), *SHARD[1:]),
        (script, "check", "shards"),
    ):
        result = run(command, folder)
        assert (result.returncode, " ran" in result.stderr) == (0, False), result.stderr


def test_the_files_would_hide_ours(folder: Path) -> None:
    """Without ``-P`` Python imports each of them."""
    for name in HIDING:
        module = name.removesuffix(".py").removesuffix("/__init__")
        result = run([sys.executable, "-S", "-c", f"import {module}"], folder)
        assert (result.returncode, result.stderr) == (99, f"{name} ran\n")


@pytest.mark.parametrize("path", [".", "", "elsewhere"])
def test_not_even_by_pythonpath(script: Path, tmp_path: Path, path: str) -> None:
    """It comes before the installed packages."""
    ours = tmp_path / path
    for name in ("trainer.py", "tools/notes.txt", "pipeline/__init__.py"):
        (ours / name).parent.mkdir(parents=True, exist_ok=True)
        (ours / name).write_text("raise SystemExit('hidden')\n")
    paths = os.pathsep.join([str(tmp_path / "none"), path])
    for words in (("shard", "--src", "none", "--out", "o"), ("train", "--shards", "none")):
        result = run([script, *words], tmp_path, PYTHONPATH=paths)
        assert re.search("^Error: (--src )?none ", result.stderr, re.MULTILINE), result.stderr


def test_ranks_of_torchrun_say_once_what_is_wrong(
    script: Path, folder: Path, loaded: ForkServerContext
) -> None:
    """``torchrun --no-python ... shardline train``; the report below is torchrun's."""
    words = (
        "--standalone",
        "--no-python",
        "--nproc_per_node",
        2,
        script,
        "train",
        "--shards",
        "no",
    )
    output = folder / "output.txt"
    process = loaded.Process(target=run_torchrun, args=(words, folder, output))
    process.start()
    process.join()
    said = output.read_text()
    assert process.exitcode == 1
    assert said.count("\nError: no holds no complete shards") + said.startswith("Error: no") == 1
    assert " ran\n" not in said


@pytest.mark.long
def test_ranks_of_torchrun_train_in_a_folder_that_hides_ours(
    script: Path, folder: Path, digits_kaggle: Path
) -> None:
    few_digits(digits_kaggle, folder)
    assert run([script, *SHARD, "--val", "0.25"], folder).returncode == 0
    torchrun = shutil.which("torchrun")
    ranks = (torchrun, "--standalone", "--no-python", "--nproc_per_node", "2", "shardline", *TRAIN)
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    result = run(ranks, folder, PATH=path)
    assert (result.returncode, " ran" in result.stderr) == (0, False), result.stderr
    assert json.loads((folder / "run" / "config.json").read_text())["resolved"]["world_size"] == 2
    (summary,) = lines(folder / "run", "summary")
    assert summary
    # Their child is tools/shard.
    predicted = run([script, "predict", "run", "--src", "kaggle/train", "--device", "cpu"], folder)
    assert (predicted.returncode, " ran" in predicted.stderr) == (0, False), predicted.stderr


@pytest.mark.long
def test_ranks_that_bench_scaling_starts(script: Path, folder: Path, digits_kaggle: Path) -> None:
    few_digits(digits_kaggle, folder)
    assert run([script, *SHARD], folder).returncode == 0
    brief = (
        "--ranks",
        "1,2",
        "--mode",
        "weak",
        "--batch-size",
        "4",
        "--runs",
        "1",
        "--warmup",
        "0",
    )
    model = ("--model", "resnet8", "--seconds", "0.01", "--device", "cpu")
    result = run([script, "bench", "scaling", *brief, *model], folder)
    assert (result.returncode, " ran" in result.stderr) == (0, False), result.stderr

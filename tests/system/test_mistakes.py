"""What newcomers get wrong, a line each: every command answers with one sentence that names the
value and says what to do."""

import json
import os
import shlex
import shutil
from pathlib import Path

import click
import pytest

from benchmarks.compute.__main__ import main as bench_compute
from benchmarks.frameworks.__main__ import main as bench_frameworks
from benchmarks.loader.__main__ import main as bench_loader
from benchmarks.predict.__main__ import main as bench_predict
from benchmarks.report.__main__ import main as bench_report
from benchmarks.scaling.__main__ import main as bench_scaling
from benchmarks.study.__main__ import main as bench_study
from tests.data.mistakes import ROWS
from tests.helpers.cli import invoke
from tests.helpers.handmade import write_shards
from tests.helpers.runs import train
from tests.helpers.shard_runs import photographs
from tests.helpers.tiny_trainer import MODEL
from tools.checking.cli import main as check
from tools.cli import main as shard
from tools.showing.cli import main as show
from trainer.__main__ import main as trainer
from trainer.evaluate import main as evaluate
from trainer.plot import main as plot
from trainer.predict import main as predict

COMMANDS: dict[str, click.Command] = {
    "shard": shard,
    "check": check,
    "show": show,
    "trainer": trainer,
    "evaluate": evaluate,
    "predict": predict,
    "plot": plot,
    "bench-loader": bench_loader,
    "bench-compute": bench_compute,
    "bench-scaling": bench_scaling,
    "bench-predict": bench_predict,
    "bench-report": bench_report,
    "bench-frameworks": bench_frameworks,
    "bench-study": bench_study,
}
CLASSES = ("ant", "bee", "cow", "dog", "elk")


@pytest.fixture(scope="module")
def place(digits_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a newcomer: a download, shards, shards of other classes, runs, and odd ones."""
    folder = tmp_path_factory.mktemp("place")
    photographs(folder / "kaggle", count=6)
    write_shards(folder / "others", classes=CLASSES)
    shutil.copytree(digits_shards, folder / "shards")
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("epochs: 3\n")
    (folder / "folder.png").mkdir()
    (folder / "torn").mkdir()
    (folder / "torn" / "dataset.json").touch()
    (folder / "unfinished" / ".unfinished").mkdir(parents=True)
    runs = folder / "runs"
    train(folder / "shards", runs / "a", steps=2, model=MODEL)
    for name, seed in (("b", 0), ("begun", 0), ("other", 1)):
        shutil.copytree(runs / "a", runs / name)
        config = json.loads((runs / "a" / "config.json").read_text())
        (runs / name / "config.json").write_text(json.dumps(config | {"seed": seed}))
    for path in (runs / "begun").glob("*.pt"):
        path.unlink()
    os.truncate(runs / "begun" / "metrics.jsonl", 0)
    return folder


@pytest.mark.parametrize(("line", "code", "words"), ROWS, ids=[line for line, _, _ in ROWS])
def test_a_mistake_is_answered_in_a_sentence(
    place: Path, monkeypatch: pytest.MonkeyPatch, line: str, code: int, words: str
) -> None:
    monkeypatch.chdir(place)
    command, *arguments = shlex.split(line)
    result = invoke(COMMANDS[command], *arguments)
    text = " ".join(result.output.split())
    assert isinstance(result.exception, SystemExit), result.exception
    assert (result.exit_code, words in text) == (code, True), result.output
    assert text.count("Error: ") == 1 and "Traceback" not in text
    assert not (place / "new").exists()

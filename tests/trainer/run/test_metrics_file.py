"""metrics.jsonl over several processes of a run, its reader, and the summary."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import DataError
from trainer.meter import Interval
from trainer.run.display import summary_rows
from trainer.run.metrics_reader import KEYS, NUMBERS, Record, read_records
from trainer.run.metrics_writer import MetricsFile
from trainer.run.summary import Summary, summarize
from trainer.tasks.metric_names import METRIC_NAMES

INTERVAL = {"images": 8, "seconds": 2.0, "data_seconds_max": 0.5, "memory_bytes": 2**20}
INTERVAL |= {"loss": 1.0, "learning_rate": 0.1, "bad_samples": 0}


def interval(position: int, **values: Any) -> Record:
    record = {"kind": "train", "process": 0, "position": position, "epoch": position / 16}
    return {**record, "elapsed_seconds": position / 4, **INTERVAL, **values}


def write(folder: Path, lines: list[Any], end: str = "\n") -> Path:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "metrics.jsonl").write_text(text + end)
    return folder


def test_a_resumed_run_drops_records_beyond_its_checkpoint(tmp_path: Path) -> None:
    summary = {**interval(16), "kind": "summary"}
    write(tmp_path, [interval(8), interval(16), summary, interval(24), '{"kind": "tra'], end="")
    file = MetricsFile(tmp_path, samples=16, position=16)
    file.write(file.new_record("train", position=20) | INTERVAL | {"loss": 0.5})
    file.close()
    records = read_records(tmp_path)
    assert records == file.records
    assert [record["position"] for record in records] == [8, 16, 20]
    assert (records[-1]["process"], records[-1]["epoch"], records[-1]["loss"]) == (1, 1.25, 0.5)
    assert 4.0 <= records[-1]["elapsed_seconds"] < 60


def test_completes_an_unfinished_last_line(tmp_path: Path) -> None:
    write(tmp_path, [interval(8)], end="")
    file = MetricsFile(tmp_path, samples=16, position=8)
    file.write(file.new_record("train", position=16) | INTERVAL)
    file.close()
    assert [record["position"] for record in read_records(tmp_path)] == [8, 16]


def test_a_summary_separates_warm_up_first_and_later_epochs() -> None:
    """16 samples an epoch, 8 an interval; the second process begins in the middle of an epoch."""
    records = [
        interval(8, seconds=8.0),
        interval(16, seconds=4.0, data_seconds_max=3.0),
        {"kind": "evaluation", "top1": 0.8, "process": 0, "position": 16, "elapsed_seconds": 13.0}
        | {"epoch": 1.0},
        interval(24),
        interval(32, seconds=16.0, process=1, bad_samples=1, memory_bytes=2**22),
        interval(40, seconds=4.0, process=1, bad_samples=1),
        interval(48, process=1, elapsed_seconds=100.0, bad_samples=2),
    ]
    summary = summarize(records, samples=16)
    assert summary.warmup and summary.first_epoch and summary.later_epochs and summary.total
    assert (summary.warmup.images, summary.warmup.seconds) == (16, 24.0)
    assert (summary.first_epoch.images, summary.first_epoch.images_per_second) == (16, 2.0)
    assert summary.first_epoch.data_share == 3.5 / 8
    assert (summary.later_epochs.images_per_second, summary.total.images) == (4.0, 48)
    assert [(reached.top1, reached.elapsed_seconds) for reached in summary.milestones] == [
        (0.5, 13.0),
        (0.75, 13.0),
    ]
    assert (summary.processes, summary.bad_samples, summary.memory_bytes) == (2, 2, 2**22)
    best = {"best_top1": 0.8, "best_top5": 1.0}
    rows = dict(summary_rows(records[-1] | summary.as_record() | best))
    assert rows["later epochs"] == "4.0 images/s, 25.0% waiting for data"
    assert rows["time to 50%, 75% top-1"] == "0:13, epoch 1.00"
    assert rows["time, including evaluations"] == "1:40 in 2 processes"
    assert (rows["peak memory per rank"], rows["bad samples"]) == ("4 MiB", "2")
    assert (rows["best top-1"], rows["top-5 at best top-1"]) == ("80.00%", "100.00%")
    assert json.loads(json.dumps(summary.as_record()))["total"]["images_per_second"] == 48 / 36


def test_a_summary_of_one_interval_has_only_a_warm_up() -> None:
    summary = summarize([interval(8)], samples=16)
    assert summary.warmup == summary.total
    assert summary.first_epoch is summary.later_epochs is None
    assert "first_epoch" in summary.as_record()


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (None, "holds no run"),
        ([], "is empty"),
        ([interval(8), "{", interval(16)], "line 2: invalid JSON"),
        ([interval(8), "[1]"], "line 2: not a record"),
        ([{"kind": "train", "process": 0}], "line 1: the field 'position' is missing"),
        ([interval(8), {**interval(16), "loss": "nan"}], "line 2: the field 'loss' can't be 'nan'"),
    ],
)
def test_rejects_invalid_files(tmp_path: Path, lines: list[Any] | None, sentence: str) -> None:
    if lines is not None:
        write(tmp_path, lines, end="\n" if lines else "")
    with pytest.raises(DataError, match=sentence):
        read_records(tmp_path)


def test_the_documented_reader_yields_the_numbers(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
    (reader,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(reader, names)
    evaluation = {**interval(16), "kind": "evaluation", "top1": 0.5, "note": "text"}
    write(tmp_path, [interval(8), evaluation])
    (first, losses), (second, scores) = names["numbers"](tmp_path)
    assert (first, losses["train/loss"], losses["train/elapsed_seconds"]) == (8, 1.0, 2.0)
    assert (second, scores["evaluation/top1"], "evaluation/note" in scores) == (16, 0.5, False)


def test_every_field_is_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
    shown = set(re.findall(r"`([a-z0-9_]+)`", text))
    interval_fields = {field.name for field in dataclasses.fields(Interval)}
    summary_fields = {field.name for field in dataclasses.fields(Summary)} - {"processes"}
    for names in (KEYS, *NUMBERS.values(), interval_fields, summary_fields, METRIC_NAMES):
        assert set(names) <= shown

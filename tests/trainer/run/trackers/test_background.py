"""A tracker that fails for a while gets each record once, in order."""

from collections.abc import Mapping
from pathlib import Path
from threading import Event

import pytest

from trainer.run.metrics_reader import Record
from trainer.run.trackers import background
from trainer.run.trackers.background import BackgroundSink, describe
from trainer.run.trackers.sink import TrackedRun, numbers, texts
from trainer.run.trackers.stored_id import StoredId


class Unsteady:
    """A tracker whose calls fail at the given numbers, and which has some records already."""

    title = "Unsteady"

    def __init__(self, fails_at: tuple[int, ...] = (), **last_positions: int) -> None:
        self.calls, self.fails_at, self.last_positions = 0, fails_at, last_positions
        self.logged: list[tuple[str, int]] = []
        self.endings: list[bool] = []
        self.answers = Event()
        self.answers.set()

    def _call(self) -> None:
        self.answers.wait()
        self.calls += 1
        if self.calls in self.fails_at:
            raise ConnectionError(111, f"refused {self.calls}")

    def connect(self) -> Mapping[str, float]:
        self._call()
        return self.last_positions

    def location(self) -> str:
        return "nowhere"

    def log(self, record: Record) -> None:
        self._call()
        self.logged.append((record["kind"], record["position"]))

    def finish(self, *, is_complete: bool) -> None:
        self._call()
        self.endings.append(is_complete)


def record(kind: str, position: int) -> Record:
    return {"kind": kind, "position": position}


def sink(tracker: Unsteady, directory: Path, *earlier: Record) -> tuple[BackgroundSink, list[str]]:
    said: list[str] = []
    run = TrackedRun(directory=directory, config={}, position=0, records=earlier, say=said.append)
    return BackgroundSink(tracker, run), said


RECORDS = [record("train", 8), record("evaluation", 8), record("train", 16), record("summary", 16)]
NAMES = [(each["kind"], each["position"]) for each in RECORDS]


@pytest.mark.parametrize("fails_at", [(), (1,), (2,), (1, 2, 3), (3, 5)])
def test_records_arrive_once_and_in_order(
    fails_at: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(background, "LAST_SECONDS", 60.0)
    tracker = Unsteady(fails_at)
    tracked, said = sink(tracker, tmp_path)
    for each in RECORDS:
        tracked.write(each)
    tracked.close()
    tracked.close()
    assert tracker.logged == NAMES
    assert tracker.endings == [True]
    failures = [line for line in said if "does not take the records" in line]
    assert len(failures) == bool(fails_at)
    if fails_at:
        assert f"(refused {fails_at[0]}): training goes on" in failures[0]
    assert said.count("Unsteady logs to nowhere.") == 1


def test_a_resumed_run_sends_what_is_missing(tmp_path: Path) -> None:
    """An evaluation at the position of a logged interval was not logged before the kill."""
    tracker = Unsteady(train=16)
    tracked, _ = sink(tracker, tmp_path, *RECORDS[:2])
    for each in (*RECORDS[2:3], record("evaluation", 16), record("train", 24)):
        tracked.write(each)
    tracked.close()
    assert tracker.logged == [("evaluation", 8), ("evaluation", 16), ("train", 24)]
    assert tracker.endings == [False]


def test_nothing_waits_for_a_tracker_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "CLOSE_SECONDS", 0.01)
    tracker = Unsteady()
    tracker.answers.clear()
    tracked, said = sink(tracker, tmp_path)
    for each in RECORDS:
        tracked.write(each)
    tracked.close()
    assert len(said) == 1
    assert "(no answer within 0.01 s): training goes on" in said[0]
    assert str(tmp_path) in said[0]
    tracker.answers.set()


def test_numbers_and_texts_of_a_summary() -> None:
    summary = {"kind": "summary", "time": 9.0, "position": 8, "epoch": 0.5, "monitor": "top1"}
    summary |= {"total": {"images": 8}, "warmup": None, "milestones": ({"top1": 0.5},)}
    assert numbers(summary) == {
        "summary/epoch": 0.5,
        "summary/total/images": 8,
        "summary/milestones/0/top1": 0.5,
    }
    assert texts(summary) == {"summary/monitor": "top1"}


@pytest.mark.parametrize(
    "content", ["", "[]", '{"run_id": 1}', '{"run_id": "../x"}', '{"run_id": ""}']
)
def test_an_id_that_no_tracker_gives_is_not_used(content: str, tmp_path: Path) -> None:
    stored = StoredId(tmp_path, "mlflow.json")
    assert stored.read() is None
    (tmp_path / "mlflow.json").write_text(content)
    assert stored.read() is None
    stored.write("a1b2-C_3")
    assert StoredId(tmp_path, "mlflow.json").read() == "a1b2-C_3"


def test_an_error_is_told_in_the_words_of_its_cause() -> None:
    try:
        try:
            raise TimeoutError(110, "timed out")
        except TimeoutError as error:
            raise ValueError("a request failed\nwith many words") from error
    except ValueError as error:
        assert describe(error) == "timed out"
    assert describe(ValueError("first line.\nsecond")) == "first line"
    assert describe(ValueError()) == "ValueError"
    assert len(describe(ValueError(1000 * "x"))) == 200

"""Two runs never mix in one directory."""

from pathlib import Path

import pytest

from pipeline.errors import MisuseError
from trainer.config import RunConfig
from trainer.run.run_dir import resolve_run_dir


def finished(directory: Path) -> Path:
    directory.mkdir(parents=True)
    for name in ("config.json", "metrics.jsonl", "checkpoint.pt"):
        (directory / name).touch()
    return directory


def test_a_new_run_gets_a_directory_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    places = [resolve_run_dir(RunConfig()) for _ in range(3)]
    assert len({place.directory for place in places}) == 3
    assert all(place.directory.is_dir() and place.resumed is None for place in places)


def test_auto_goes_on_with_what_out_holds(tmp_path: Path) -> None:
    out = finished(tmp_path / "a")
    assert resolve_run_dir(RunConfig(out=str(out))).resumed == out / "checkpoint.pt"
    assert resolve_run_dir(RunConfig(out=str(tmp_path / "new"))).resumed is None


def test_several_nodes_share_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")
    with pytest.raises(MisuseError, match="On several nodes --out"):
        resolve_run_dir(RunConfig())
    assert resolve_run_dir(RunConfig(out="a")).directory == Path("a")


def test_what_a_killed_process_left_is_no_obstacle(tmp_path: Path) -> None:
    for name in ("config.json", "metrics.partial", "checkpoint.partial"):
        (tmp_path / name).touch()
    assert resolve_run_dir(RunConfig(out=str(tmp_path))).resumed is None


def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    checkpoint = finished(tmp_path / "a") / "checkpoint.pt"
    for resume in ("auto", "never", str(checkpoint)):
        with pytest.raises(MisuseError, match=r"holds something else \(a\)"):
            resolve_run_dir(RunConfig(out=str(tmp_path), resume=resume))


def test_never_refuses_a_used_directory(tmp_path: Path) -> None:
    out = finished(tmp_path / "a")
    with pytest.raises(MisuseError, match="already holds a run"):
        resolve_run_dir(RunConfig(out=str(out), resume="never"))


@pytest.mark.parametrize("given", ["a", "a/checkpoint.pt"])
def test_a_checkpoint_goes_on_in_its_own_directory_or_a_new_one(tmp_path: Path, given: str) -> None:
    out = finished(tmp_path / "a")
    resume = str(tmp_path / given)
    assert resolve_run_dir(RunConfig(resume=resume)).directory == out
    assert resolve_run_dir(RunConfig(resume=resume, out=str(out))).directory == out
    elsewhere = resolve_run_dir(RunConfig(resume=resume, out=str(tmp_path / "b")))
    assert elsewhere.directory == tmp_path / "b"
    assert elsewhere.resumed == out / "checkpoint.pt"
    used = finished(tmp_path / "c")
    with pytest.raises(MisuseError, match="already holds a run"):
        resolve_run_dir(RunConfig(resume=resume, out=str(used)))


def test_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="no checkpoint"):
        resolve_run_dir(RunConfig(resume=str(tmp_path / "nowhere")))

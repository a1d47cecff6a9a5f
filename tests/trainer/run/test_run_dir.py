"""Choice of the run's directory: two runs never share one."""

from pathlib import Path

import pytest

from pipeline.errors import MisuseError
from trainer.config import RunConfig
from trainer.run.run_dir import resolve_run_dir, write_rows


def finished(directory: Path) -> Path:
    directory.mkdir(parents=True)
    for name in ("config.json", "metrics.jsonl", "checkpoint.pt"):
        (directory / name).touch()
    return directory


def test_each_new_run_has_its_own_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_dirs = [resolve_run_dir(RunConfig()) for _ in range(3)]
    assert len({run_dir.path for run_dir in run_dirs}) == 3
    assert all(run_dir.path.is_dir() and run_dir.resume_from is None for run_dir in run_dirs)


def test_auto_resumes_the_run_in_out(tmp_path: Path) -> None:
    out = finished(tmp_path / "a")
    assert resolve_run_dir(RunConfig(out=str(out))).resume_from == out / "checkpoint.pt"
    assert resolve_run_dir(RunConfig(out=str(tmp_path / "new"))).resume_from is None


def test_several_nodes_need_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROUP_WORLD_SIZE", "2")
    with pytest.raises(MisuseError, match="Several nodes need --out"):
        resolve_run_dir(RunConfig())
    assert resolve_run_dir(RunConfig(out="a")).path == Path("a")


def test_ignores_partial_files_of_a_killed_process(tmp_path: Path) -> None:
    for name in ("config.json", "metrics.partial", "checkpoint.partial"):
        (tmp_path / name).touch()
    assert resolve_run_dir(RunConfig(out=str(tmp_path))).resume_from is None


def test_rejects_a_directory_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    checkpoint = finished(tmp_path / "a") / "checkpoint.pt"
    for resume in ("auto", "never", str(checkpoint)):
        with pytest.raises(MisuseError, match="holds a, which is not a file of a run"):
            resolve_run_dir(RunConfig(out=str(tmp_path), resume=resume))


def test_never_rejects_a_directory_with_a_run(tmp_path: Path) -> None:
    out = finished(tmp_path / "a")
    with pytest.raises(MisuseError, match="already holds a run"):
        resolve_run_dir(RunConfig(out=str(out), resume="never"))


@pytest.mark.parametrize("given", ["a", "a/checkpoint.pt"])
def test_resumes_a_checkpoint_in_its_own_directory_or_a_new_one(tmp_path: Path, given: str) -> None:
    out = finished(tmp_path / "a")
    resume = str(tmp_path / given)
    assert resolve_run_dir(RunConfig(resume=resume)).path == out
    assert resolve_run_dir(RunConfig(resume=resume, out=str(out))).path == out
    elsewhere = resolve_run_dir(RunConfig(resume=resume, out=str(tmp_path / "b")))
    assert elsewhere.path == tmp_path / "b"
    assert elsewhere.resume_from == out / "checkpoint.pt"
    used = finished(tmp_path / "c")
    with pytest.raises(MisuseError, match="already holds a run"):
        resolve_run_dir(RunConfig(resume=resume, out=str(used)))


def test_rejects_a_missing_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="no checkpoint"):
        resolve_run_dir(RunConfig(resume=str(tmp_path / "nowhere")))


def test_rows_for_people_hold_no_formulas(tmp_path: Path) -> None:
    path = tmp_path / "bad_samples.csv"
    write_rows(path, [("sample", "reason"), ("train-000000/1", "=1+1"), ("-2.5", "\x1b@x")])
    assert path.read_text() == "sample,reason\ntrain-000000/1,'=1+1\n-2.5,\\x1b@x\n"

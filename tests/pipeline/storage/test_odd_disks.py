"""Disks without locks or syncs, that read less than asked for; processes with few open files."""

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.storage import file_systems
from pipeline.storage.reader import read_into


def refuse(number: int) -> Callable[..., None]:
    def call(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_refused_locks_and_syncs_are_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    monkeypatch.setattr(fcntl, "flock", refuse(number))
    monkeypatch.setattr(os, "fsync", refuse(number))
    for _ in range(3):
        assert not file_systems.lock(0, fcntl.LOCK_EX, name=tmp_path)
        file_systems.sync(tmp_path)
    assert len(caplog.messages) == 2
    assert "has no locks" in caplog.messages[0] and str(tmp_path) in caplog.messages[0]
    assert "after a power failure" in caplog.messages[1]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_other_errors_of_a_disk_are_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "fsync", refuse(number))
    monkeypatch.setattr(fcntl, "flock", refuse(number))
    with pytest.raises(OSError, match=os.strerror(number)):
        file_systems.sync(tmp_path)
    with pytest.raises(OSError, match=os.strerror(number)):
        file_systems.lock(0, fcntl.LOCK_EX, name=tmp_path)


@pytest.mark.parametrize("most", [1, 7, 1000])
def test_short_reads_are_read_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    data, preadv = bytes(range(100)), os.preadv
    (tmp_path / "a").write_bytes(data)

    def short(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        return preadv(descriptor, [buffers[0][:most]], offset)

    monkeypatch.setattr(os, "preadv", short)
    with (tmp_path / "a").open("rb") as file:
        for start, size, expected in ((10, 50, 50), (90, 50, 10), (200, 5, 0)):
            buffer = bytearray(size)
            assert read_into(file.fileno(), memoryview(buffer), start) == expected
            assert buffer[:expected] == data[start : start + expected]

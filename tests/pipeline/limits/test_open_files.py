"""The number of open files is raised as far as it serves, and shards follow it."""

import resource
import sys
from pathlib import Path

import pytest

from pipeline.limits.open_files import ENOUGH, raise_open_files
from pipeline.storage.shard_files import OPEN_SHARDS, open_shards


def used_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_low_limit_is_raised() -> None:
    kind = resource.RLIMIT_NOFILE
    before = resource.getrlimit(kind)
    low = used_files() + 8
    resource.setrlimit(kind, (low, before[1]))
    try:
        enough = min(ENOUGH, before[1]) if before[1] != resource.RLIM_INFINITY else ENOUGH
        assert open_shards() > (low - used_files()) // 4
        assert resource.getrlimit(kind) == (enough, before[1])
    finally:
        resource.setrlimit(kind, before)


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        (256, 4096, ENOUGH),
        (256, 512, 512),
        (256, 256, 256),
        (256, resource.RLIM_INFINITY, ENOUGH),
        (4096, 2**20, 4096),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, sys.maxsize),
    ],
)
@pytest.mark.parametrize("forbidden", [False, True])
def test_never_more_than_serves(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, expected: int, forbidden: bool
) -> None:
    raised = []

    def set_limit(kind: int, limits: tuple[int, int]) -> None:
        if forbidden:
            raise PermissionError
        raised.append(limits)

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    changes = expected not in (soft, sys.maxsize)
    assert raise_open_files() == (soft if changes and forbidden else expected)
    assert raised == ([(expected, hard)] if changes and not forbidden else [])


def test_open_shards_follow_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    used = used_files()

    def at_limit(limit: int) -> int:
        monkeypatch.setattr(resource, "getrlimit", lambda kind: (limit, limit))
        return open_shards()

    assert at_limit(resource.RLIM_INFINITY) == at_limit(10**6) == OPEN_SHARDS
    assert 1 <= at_limit(used + 64) <= 16 and at_limit(8) == 1

"""The limits of control groups, in trees of /proc and /sys/fs/cgroup that are laid out as systems
have them."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.limits import cores
from pipeline.limits.cores import available_cores, core_quota, rank_cores
from pipeline.limits.memory import read_memory

# Lines of mountinfo, with the group that is mounted and the folder.
V2 = "30 23 0:26 {0} {1} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
V1 = "33 31 0:30 {0} {1} rw,relatime - cgroup cgroup rw,{2}"
OTHER = "22 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw"
NO_LIMIT = 9223372036854771712


def lay_out(
    root: Path, *, groups: str, mounts: list[str], files: Mapping[str, object], free_kib: int = 500
) -> Path:
    """A root folder with 1,000 KiB of memory; `files` are below /sys/fs/cgroup."""
    own = root / "proc/self"
    own.mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: 1000 kB\nMemAvailable: {free_kib} kB\n")
    (own / "cgroup").write_text(groups)
    (own / "mountinfo").write_text("".join(f"{line}\n" for line in [OTHER, *mounts]))
    for name, content in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def version_2(root: Path, groups: str, files: Mapping[str, object], mounted: str = "/") -> Path:
    return lay_out(root, groups=groups, mounts=[V2.format(mounted, "/sys/fs/cgroup")], files=files)


def version_1(root: Path, groups: str, files: Mapping[str, object], mounted: str = "/") -> Path:
    mounts = [
        V1.format(mounted, "/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct"),
        V1.format(mounted, "/sys/fs/cgroup/memory", "memory"),
    ]
    return lay_out(root, groups=groups, mounts=mounts, files=files)


def test_version_2_the_tightest_of_nested_groups_wins(tmp_path: Path) -> None:
    root = version_2(
        tmp_path,
        "0::/jobs/job_1/step_0\n",
        {
            "jobs/cpu.max": "800000 100000",
            "jobs/job_1/cpu.max": "150000 100000",
            "jobs/job_1/step_0/cpu.max": "max 100000",
            "jobs/memory.max": 400 * 1024,
            "jobs/memory.current": 380 * 1024,
            "jobs/memory.stat": "anon 5\ninactive_file 10240\nactive_file 7",
            "jobs/job_1/memory.max": 300 * 1024,
            "jobs/job_1/memory.current": 100 * 1024,
            "jobs/job_1/step_0/memory.max": "max",
            "other/cpu.max": "10000 100000",
            "other/memory.max": 1024,
        },
    )
    assert core_quota(root) == 1.5
    memory = read_memory(root)
    # The limit is the job's, but less is left of the one above it.
    assert (memory.total, memory.limit, memory.free) == (1000 * 1024, 300 * 1024, 30 * 1024)


def test_version_1(tmp_path: Path) -> None:
    root = version_1(
        tmp_path,
        "5:memory:/user/job\n3:cpu,cpuacct:/user/job\n1:name=systemd:/elsewhere\n",
        {
            "cpu,cpuacct/user/cpu.cfs_quota_us": 250000,
            "cpu,cpuacct/user/cpu.cfs_period_us": 100000,
            "cpu,cpuacct/user/job/cpu.cfs_quota_us": -1,
            "cpu,cpuacct/user/job/cpu.cfs_period_us": 100000,
            "memory/memory.limit_in_bytes": NO_LIMIT,
            "memory/user/memory.limit_in_bytes": NO_LIMIT,
            "memory/user/job/memory.limit_in_bytes": 200 * 1024,
            "memory/user/job/memory.usage_in_bytes": 150 * 1024,
            "memory/user/job/memory.stat": "inactive_file 1\ntotal_inactive_file 51200",
        },
    )
    assert core_quota(root) == 2.5
    assert read_memory(root)[1:] == (100 * 1024, 200 * 1024)


def test_both_versions_side_by_side(tmp_path: Path) -> None:
    """Version 2 without controllers, as systemd's hybrid layout has it."""
    root = lay_out(
        tmp_path,
        groups="4:memory:/m\n3:cpu:/c\n0::/unified\n",
        mounts=[
            V2.format("/", "/sys/fs/cgroup/unified"),
            V1.format("/", "/sys/fs/cgroup/cpu", "cpu"),
            V1.format("/", "/sys/fs/cgroup/memory", "memory"),
        ],
        files={
            "unified/unified/cgroup.procs": 1,
            "cpu/c/cpu.cfs_quota_us": 50000,
            "cpu/c/cpu.cfs_period_us": 100000,
            "memory/m/memory.limit_in_bytes": 100 * 1024,
        },
    )
    assert core_quota(root) == 0.5
    assert read_memory(root).limit == 100 * 1024


@pytest.mark.parametrize(
    ("own", "mounted"),
    [
        ("/", "/"),  # a namespace of its own
        ("/docker/abc", "/docker/abc"),  # the host's names on both sides
        ("/docker/abc", "/"),  # the host's name, which isn't there
        ("/../../other", "/"),  # outside of the namespace
        ("/a", "/docker/abc"),
        ("/docker/abc (deleted)", "/docker/abc"),
    ],
)
@pytest.mark.parametrize("layout", [version_1, version_2])
def test_a_container_has_the_limits_of_what_is_mounted(
    tmp_path: Path, layout: object, own: str, mounted: str
) -> None:
    files = {"cpu.max": "200000 100000", "memory.max": 90 * 1024}
    groups = f"0::{own}\n"
    if layout is version_1:
        groups = f"2:cpu,cpuacct:{own}\n1:memory:{own}\n"
        files = {
            "cpu,cpuacct/cpu.cfs_quota_us": "200000",
            "cpu,cpuacct/cpu.cfs_period_us": "100000",
            "memory/memory.limit_in_bytes": 90 * 1024,
        }
        root = version_1(tmp_path, groups, files, mounted)
    else:
        root = version_2(tmp_path, groups, files, mounted)
    assert core_quota(root) == 2
    assert read_memory(root).limit == 90 * 1024


def test_groups_below_the_one_that_is_mounted_count(tmp_path: Path) -> None:
    root = version_2(
        tmp_path, "0::/pod/box/inner: a\n", {"inner: a/cpu.max": "300000 100000"}, "/pod/box"
    )
    assert core_quota(root) == 3


def test_mounts_may_have_spaces_in_their_names(tmp_path: Path) -> None:
    root = lay_out(
        tmp_path,
        groups="0::/\n",
        mounts=[V2.format("/", r"/sys/fs/cgroup/my\040groups")],
        files={"my groups/cpu.max": "100000 100000"},
    )
    assert core_quota(root) == 1


def test_the_usual_folders_without_a_list_of_mounts(tmp_path: Path) -> None:
    root = lay_out(
        tmp_path,
        groups="",
        mounts=[],
        files={"cpu.max": "100000 50000", "memory/memory.limit_in_bytes": 1024},
    )
    (root / "proc/self/mountinfo").unlink()
    (root / "proc/self/cgroup").unlink()
    assert core_quota(root) == 2
    assert read_memory(root)[1:] == (1024, 1024)


@pytest.mark.parametrize(
    "content",
    ["", "max", "max 100000", "-1", "0", "0 100000", "-5 100000", "1.5", "five", "1 2 3", "\0\xff"],
)
def test_odd_contents_are_no_limit(tmp_path: Path, content: str) -> None:
    names = ("cpu.max", "cpu.cfs_quota_us", "memory.max", "memory.high", "memory.limit_in_bytes")
    root = version_2(tmp_path, "0::/\n", dict.fromkeys(names, content))
    assert core_quota(root) is None
    assert read_memory(root)[1:] == (500 * 1024, None)


@pytest.mark.parametrize("limit", [NO_LIMIT, 2**63 - 1, 1000 * 1024, 2**70])
def test_more_than_there_is_is_no_limit(tmp_path: Path, limit: int) -> None:
    root = version_2(tmp_path, "0::/\n", {"memory.max": limit})
    assert read_memory(root).limit is None


def test_odd_lists_of_groups_and_mounts(tmp_path: Path) -> None:
    root = lay_out(
        tmp_path,
        groups="0\n::\nx:y\n0::relative\n\n",
        mounts=["", "1 2 -", " - cgroup2", "1 2 3:4 / - cgroup", V2.format("/", "/sys/fs/cgroup")],
        files={"cpu.max": "100000 100000"},
    )
    assert core_quota(root) == 1


def test_what_can_t_be_read_is_no_limit(tmp_path: Path) -> None:
    """Folders stand for files without permission, which root would read."""
    root = version_2(tmp_path, "0::/a\n", {"a/memory.max": 100 * 1024, "cpu.max": "100000 100000"})
    (root / "sys/fs/cgroup/a/cpu.max").mkdir()
    for name in ("memory.current", "memory.stat"):
        (root / "sys/fs/cgroup/a" / name).mkdir()
    assert core_quota(root) == 1
    # Nothing is known of the use.
    assert read_memory(root)[1:] == (100 * 1024, 100 * 1024)


def test_memory_high_slows_down_and_so_limits(tmp_path: Path) -> None:
    files = {"memory.max": 400 * 1024, "memory.high": 300 * 1024, "memory.current": 310 * 1024}
    assert read_memory(version_2(tmp_path, "0::/\n", files))[1:] == (0, 300 * 1024)


def test_quotas_are_rounded_up_and_shared_by_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    for quota, expected in ((None, 8), (0.2, 1), (1.5, 2), (2.0, 2), (100.0, 8)):
        monkeypatch.setattr(cores, "_own_quota", lambda quota=quota: quota)
        assert available_cores() == rank_cores() == expected
    monkeypatch.setattr(cores, "_own_quota", lambda: 5.5)
    assert (rank_cores(2), rank_cores(4), rank_cores(100)) == (3, 1, 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert rank_cores() == 2

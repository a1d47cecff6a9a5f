"""The control groups (cgroups, versions 1 and 2) that limit this process.

A group has the limits of all groups above it, too. What is absent, unreadable or odd is no limit.
Formats: cgroups(7), proc(5), and Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst of Linux.
"""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path("/")
# Where systems mount them, if /proc doesn't say.
_USUAL = "/sys/fs/cgroup"


class _Mount(NamedTuple):
    """`hierarchies`: the controllers of version 1, "" for version 2. `group` is the group whose
    folder `point` is."""

    hierarchies: frozenset[str]
    group: str
    point: str


def group_folders(controller: str, root: Path = ROOT) -> list[Path]:
    """The folder of each group of this process, and of those above it as far as they are visible:
    in version 2, and in version 1 for `controller`.

    In a container this process's group may be outside of what is mounted, or be named by the host's
    path: then the group that is mounted counts.

    Args:
        root: holds ``proc`` and what is mounted.
    """
    own = dict(_own_groups(read_text(root / "proc/self/cgroup")))
    folders = []
    for mount in _mounts(read_text(root / "proc/self/mountinfo")) or _usual_mounts(controller):
        name = "" if "" in mount.hierarchies else controller
        if name in mount.hierarchies:
            below = _below(own.get(name, mount.group), mount.group)
            point = root / mount.point.lstrip("/")
            folders += [point / folder for folder in (below, *below.parents)]
    return list(dict.fromkeys(folders))


def read_text(path: Path) -> str:
    """The text of a file, "" if it can't be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def read_numbers(path: Path) -> list[int]:
    """The integers in a file; none if anything else is in it, as in "max 100000"."""
    try:
        return [int(word) for word in read_text(path).split()]
    except ValueError:
        return []


def _own_groups(text: str) -> Iterator[tuple[str, str]]:
    """(controller, group) of each line "4:cpu,cpuacct:/path"; "" is version 2."""
    for line in text.splitlines():
        _, controllers, group = [*line.split(":", 2), "", ""][:3]
        for controller in controllers.split(","):
            yield controller, group


def _mounts(text: str) -> list[_Mount]:
    mounts = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, *more) = before.split(" "), after.split(" ")
        if kind not in ("cgroup", "cgroup2") or len(fields) < 5:
            continue
        options = more[-1].split(",") if more else []
        hierarchies = frozenset([""] if kind == "cgroup2" else options)
        mounts.append(_Mount(hierarchies, _unescaped(fields[3]), _unescaped(fields[4])))
    return mounts


def _usual_mounts(controller: str) -> list[_Mount]:
    version_1 = _Mount(frozenset([controller]), "/", f"{_USUAL}/{controller}")
    return [_Mount(frozenset([""]), "/", _USUAL), version_1]


def _below(group: str, mounted: str) -> PurePosixPath:
    """The path of `group` below the group that is mounted; "." if it isn't below it."""
    try:
        path = PurePosixPath(group).relative_to(mounted)
    except ValueError:
        return PurePosixPath()
    return PurePosixPath() if ".." in path.parts else path


def _unescaped(word: str) -> str:
    """A word of mountinfo, in which a space is \\040."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word)

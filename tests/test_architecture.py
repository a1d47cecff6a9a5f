"""Imports go one way, between packages, folders and modules; --help loads nothing heavy."""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

from shardline import __main__ as shardline

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "pipeline": set(),
    "tools": {"pipeline"},
    "trainer": {"pipeline"},
    "benchmarks": {"trainer", "pipeline", "tools"},
    "shardline": {"trainer", "pipeline"},
}
COMMANDS = (
    *(module for module, _ in [*shardline.COMMANDS.values(), *shardline.BENCHMARKS.values()]),
    "benchmarks.demo.compare",
    "benchmarks.keras",
    "benchmarks.on_gpu",
    "benchmarks.predict.network_probe",
    "benchmarks.peers",
    "benchmarks.training",
)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported_modules(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_one_way(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        packages = {module.split(".")[0] for module in imported_modules(path)}
        # An installation has no tests.
        assert "tests" not in packages, path
        own = packages & set(MAY_IMPORT)
        assert own <= MAY_IMPORT[package] | {package}, path


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("tools", ("torch", "torchvision", "nvidia")),
        ("pipeline", ("torch.distributed", "torchvision")),
    ],
)
def test_packages_do_without(package: str, forbidden: tuple[str, ...]) -> None:
    for path in sorted((ROOT / package).rglob("*.py")):
        for module in imported_modules(path):
            assert not any(f"{module}.".startswith(f"{name}.") for name in forbidden), path


def test_no_modules_import_each_other() -> None:
    assert circle_in(module_imports()) is None


def test_no_folders_import_each_other() -> None:
    """A folder and the one that holds it count as one."""
    folders = defaultdict(set)
    for module, imported in module_imports().items():
        for other in imported:
            ours, theirs = folder_of(module), folder_of(other)
            if not f"{ours}.".startswith(f"{theirs}.") and not f"{theirs}.".startswith(f"{ours}."):
                folders[ours].add(theirs)
    assert circle_in(folders) is None


def test_only_benchmarks_of_tools_import_tools() -> None:
    allowed = ("benchmarks.sharding", "benchmarks.datasets", "benchmarks.demo")
    for module, imported in module_imports().items():
        if module.startswith("benchmarks.") and not module.startswith(allowed):
            assert not {other for other in imported if other.startswith("tools.")}, module


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_python_starts_without_the_current_folder(package: str) -> None:
    """In each command the interpreter is followed by -P or -I."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.List | ast.Tuple):
                for word, following in pairwise([*node.elts, None]):
                    if isinstance(word, ast.Constant | ast.JoinedStr):
                        continue
                    if re.search(r"sys\.executable|python['\"]$", ast.unparse(word)):
                        assert following is not None, path
                        assert ast.unparse(following) in ("'-P'", "'-I'"), path


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_commands_print_through_one_module(package: str) -> None:
    """Each has ``pipeline.options.Command``, and none has a console of its own."""
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("click.echo", "Console"), path
                classes = {ast.unparse(word.value) for word in node.keywords if word.arg == "cls"}
                assert called != "click.command" or classes == {"Command"}, path


@pytest.mark.parametrize(
    ("imports", "circle"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, None),
        ({"a": {"b"}, "b": {"a"}}, {"a", "b"}),
        ({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}}, {"b", "c", "d"}),
    ],
)
def test_a_circle_is_found(imports: dict[str, set[str]], circle: set[str] | None) -> None:
    assert circle_in(imports) == circle


def circle_in(imports: Mapping[str, Set[str]]) -> set[str] | None:
    """Those that import each other, None if there are none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return set(error.args[1])
    return None


@cache
def module_imports() -> dict[str, set[str]]:
    """Each module of the project, with those that it imports anywhere in its text."""
    paths = {name: path for package in MAY_IMPORT for name, path in modules_of(package)}
    return {
        name: {found for text in imported_modules(path) if (found := nearest(text, paths))} - {name}
        for name, path in paths.items()
    }


def modules_of(package: str) -> Iterator[tuple[str, Path]]:
    for path in (ROOT / package).rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def nearest(name: str, modules: Mapping[str, Path]) -> str | None:
    """The module that `name`, a module or something in it, belongs to."""
    parent = name.rpartition(".")[0]
    return name if name in modules else parent if parent in modules else None


def folder_of(module: str) -> str:
    return module if (ROOT / module.replace(".", "/")).is_dir() else module.rpartition(".")[0]


def ask_for_help(command: str) -> "subprocess.CompletedProcess[str]":
    script = (
        "import runpy, sys\n"
        f"sys.argv = [{command!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_module({command!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0\n"
        "heavy = {'torch', 'torchvision', 'nvidia.dali', 'cv2', 'matplotlib', 'pyarrow'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def helped() -> "dict[str, subprocess.CompletedProcess[str]]":
    """The output of each command: two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(COMMANDS, pool.map(ask_for_help, COMMANDS), strict=True))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_neither_torch_nor_dali(
    command: str, helped: "dict[str, subprocess.CompletedProcess[str]]"
) -> None:
    run = helped[command]
    assert run.returncode == 0, run.stderr
    assert "Usage:" in run.stdout

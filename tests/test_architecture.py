"""The one-way flow: benchmarks -> trainer -> pipeline <- tools, and a light --help."""

import ast
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "pipeline": set(),
    "tools": {"pipeline"},
    "trainer": {"pipeline"},
    "benchmarks": {"trainer", "pipeline", "tools"},
}
COMMANDS = (
    "tools.cli",
    "tools.checking.cli",
    "tools.showing.cli",
    "trainer.__main__",
    "trainer.evaluate",
    "trainer.plot",
    "benchmarks.compute",
    "benchmarks.frameworks",
    "benchmarks.keras",
    "benchmarks.loader",
    "benchmarks.predict.network_probe",
    "benchmarks.peers",
    "benchmarks.predict",
    "benchmarks.report",
    "benchmarks.scaling",
    "benchmarks.study",
    "benchmarks.training",
)


def imported_modules(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
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
        own = {module.split(".")[0] for module in imported_modules(path)} & set(MAY_IMPORT)
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
    """What each command said: two at a time."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(COMMANDS, pool.map(ask_for_help, COMMANDS), strict=True))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_loads_neither_torch_nor_dali(
    command: str, helped: "dict[str, subprocess.CompletedProcess[str]]"
) -> None:
    run = helped[command]
    assert run.returncode == 0, run.stderr
    assert "Usage:" in run.stdout

"""Ctrl-C ends each command with a sentence and 130, whatever it imports or does at that moment."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import trainer.stopping
from pipeline.interrupts import handle_interrupts
from pipeline.options import Command
from pipeline.watchdog import StallWatchdog
from trainer.stopping import HANDLED_SIGNALS, InputHangsError, StopSignal

ROOT = Path(__file__).parents[2]
EARLIER = "tests/data/earlier"
SHARDS = ["--shards", f"{EARLIER}/shards"]

# Runs a command as `python -m` does, and gets Ctrl-C when it first looks for a module.
SCRIPT = """
import os, runpy, signal, sys
module, moment, *arguments = sys.argv[1:]
sys.argv = ["-m", *arguments]
signal.signal(signal.SIGINT, signal.default_int_handler)

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == moment:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
runpy.run_module(module, run_name="__main__")
raise SystemExit(f"{moment} was not imported")
"""


@pytest.mark.parametrize(
    ("module", "moment", "arguments"),
    [
        ("tools.cli", "click", []),
        ("tools.cli", "tools.config", []),
        ("tools.cli", "cv2", ["--src", "docs", "--out", "none"]),
        ("tools.checking.cli", "numpy", ["none"]),
        ("tools.showing.cli", "numpy", ["none"]),
        ("trainer", "trainer.config", []),
        ("trainer", "torch", ["--synthetic"]),
        ("trainer.evaluate", "torch", [f"{EARLIER}/run", *SHARDS]),
        ("trainer.predict", "torch", [f"{EARLIER}/run", *SHARDS, "--split", "val"]),
        ("trainer.plot", "trainer.plotting.curves", ["docs"]),
        ("benchmarks.report", "matplotlib", ["docs"]),
        ("benchmarks.loader", "benchmarks.loader.by_stage", SHARDS),
        ("shardline", "click", []),
        ("shardline", "trainer.config", ["train"]),
    ],
)
def test_while_a_command_imports(module: str, moment: str, arguments: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, module, moment, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "Interrupted.\n")


def test_nothing_else_is_imported_before_ctrl_c_is_handled() -> None:
    """Python has ``os`` from its start; without site no other package has loaded anything."""
    code = (
        "import os, sys; sys.path.insert(0, '.'); before = set(sys.modules)\n"
        "import benchmarks, tools, trainer; print(*sorted(set(sys.modules) - before))"
    )
    command = [sys.executable, "-I", "-S", "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == [
        *("benchmarks", "pipeline", "pipeline.interrupts", "tools", "trainer")
    ]


@pytest.mark.parametrize("moment", ["-c", "-P"], ids=["check", "start"])
def test_while_tools_start_python(tmp_path: Path, moment: str) -> None:
    """``tools/python.sh`` first asks with -c whether Python fits, then starts it with -P."""
    if "block-signal" not in subprocess.check_output(["env", "--help"], text=True):
        pytest.skip("env can't hold signals back")
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    group = "$PPID $$" if moment == "-c" else "$$"
    python.write_text(
        f'#!/bin/sh\n[ $1 = {moment} ] && kill -INT {group}\nexec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    result = subprocess.run(
        [ROOT / "tools" / "shard", "--src", "none"],
        env={**os.environ, "VIRTUAL_ENV": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        # A background job of a shell starts with SIGINT ignored, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "Interrupted.\n")


def test_while_a_command_works() -> None:
    @click.command(cls=Command)
    def work() -> None:
        raise KeyboardInterrupt

    result = CliRunner().invoke(work)
    assert (result.exit_code, result.stderr.strip()) == (130, "Interrupted.")


@pytest.fixture
def handlers() -> Iterator[None]:
    """Handlers of signals that are restored after the test."""
    before = {number: signal.getsignal(number) for number in HANDLED_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_process_1_of_a_container_obeys_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["-m"])
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    handle_interrupts()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    monkeypatch.setattr(os, "getpid", lambda: 1)
    handle_interrupts()
    assert callable(signal.getsignal(signal.SIGTERM))


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(("name", "ignored"), [("pytest", False), ("-m", True)])
def test_other_programs_and_background_jobs_keep_their_handler(
    monkeypatch: pytest.MonkeyPatch, name: str, ignored: bool
) -> None:
    handler = signal.SIG_IGN if ignored else signal.default_int_handler
    signal.signal(signal.SIGINT, handler)
    monkeypatch.setattr(sys, "argv", [name])
    handle_interrupts()
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.usefixtures("handlers")
def test_a_closed_terminal_stops_a_run_unless_nohup_started_it() -> None:
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.number == signal.SIGHUP
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.number is None


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize(
    ("numbers", "seconds", "ended"),
    [
        ([signal.SIGINT, signal.SIGINT], -1.0, [130]),
        # torchrun passes on the Ctrl-C that its ranks had from the terminal already.
        ([signal.SIGINT, signal.SIGINT], 60.0, []),
        ([signal.SIGINT, signal.SIGTERM], -1.0, []),
        ([signal.SIGTERM, signal.SIGINT], -1.0, []),
    ],
)
def test_only_a_second_ctrl_c_ends_a_run_at_once(
    monkeypatch: pytest.MonkeyPatch, numbers: list[int], seconds: float, ended: list[int]
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(trainer.stopping, "ECHO_SECONDS", seconds)
    monkeypatch.setattr(trainer.stopping, "exit_at_once", lambda code, text: codes.append(code))
    with StopSignal() as stop:
        for number in numbers:
            os.kill(os.getpid(), number)
    assert (stop.number, codes) == (numbers[0], ended)


@pytest.mark.usefixtures("handlers")
def test_a_start_that_hangs_ends_before_the_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[tuple[int, str]] = []
    monkeypatch.setattr(trainer.stopping, "exit_at_once", lambda *end: ends.append(end))
    with StopSignal():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGALRM)
    assert ends == [(143, "Stopped by SIGTERM before the first step.")]


class Signaling(Future[None]):
    """A future whose result never comes; the signal does."""

    def result(self, timeout: float | None = None) -> None:
        os.kill(os.getpid(), signal.SIGALRM)


@pytest.mark.usefixtures("handlers")
def test_a_stopped_run_leaves_only_its_waits_for_input() -> None:
    with StopSignal() as stop:
        stop.trains = True
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGALRM)
        watchdog = StallWatchdog(0.0, rank=0)
        with pytest.raises(InputHangsError):
            watchdog.wait(Signaling())
        assert watchdog.stalled

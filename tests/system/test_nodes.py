"""Two nodes on loopback, started by the command in docs/nodes.md."""

import os
import re
import shlex
import signal
import socket
import time
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

from tests.helpers import tiny_trainer
from tests.helpers.processes import FORKED, free_port, lines, pin, run_torchrun

STEPS, SIZE = 120, 64
DOCS = Path(__file__).parents[2] / "docs" / "nodes.md"


def read_command() -> tuple[dict[str, str], list[str]]:
    """Environment and arguments of torchrun in docs/nodes.md."""
    (block,) = re.findall(r"```console\n(.*?)```", DOCS.read_text(), re.DOTALL)
    export, command = block.replace("\\\n", " ").strip().split("\n")
    name, value = export.removeprefix("export ").split("=")
    words = shlex.split(command)
    assert words[0] == "torchrun"
    return {name: value}, words[1:]


def torchrun(node: int, environment: dict[str, str], words: list[str], folder: Path) -> None:
    os.environ.update(environment)
    pin(node)
    run_torchrun(words, folder, folder / f"node{node}.txt")


def kill(node: ForkServerProcess) -> None:
    """Kill the agent and its ranks, as a power failure would."""
    assert node.pid is not None
    children = Path(f"/proc/{node.pid}/task/{node.pid}/children").read_text().split()
    for pid in (node.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    node.join()


def test_a_killed_and_restarted_node_resumes(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext
) -> None:
    environment, words = read_command()
    run = tmp_path / "run"
    replacements = {
        "4": "1",
        "node0:29500": f"127.0.0.1:{free_port()}",
        "/data/shards": str(digits_shards),
        "/data/runs/first": str(run),
    }
    words = [replacements.get(word, word) for word in words]
    trainer = words.index("-m")
    timeouts = ["--local-addr", "127.0.0.1"]
    timeouts += ["--rdzv-conf", "keep_alive_interval=1,keep_alive_max_attempt=4"]
    options = ["--model", tiny_trainer.MODEL, "--global-batch-size", str(SIZE), "--val-every", "0"]
    options += ["--epochs", str((STEPS * SIZE - 1) / 1617), "--checkpoint-minutes", "0.002"]
    script = [*FORKED, tiny_trainer.__file__]
    command = [*words[:trainer], *timeouts, *script, *words[trainer + 2 :], *options]

    def start(number: int) -> ForkServerProcess:
        node = loaded.Process(target=torchrun, args=(number, environment, command, tmp_path))
        node.start()
        return node

    nodes = [start(0)]
    # The first node that listens on the endpoint hosts the rendezvous.
    wait_for_listener(replacements["node0:29500"])
    nodes.append(start(1))
    try:
        while not (run / "checkpoint.pt").exists():
            assert all(node.is_alive() for node in nodes)
            time.sleep(0.01)
        kill(nodes.pop())
        nodes.append(start(1))
        for node in nodes:
            node.join()
    finally:
        for node in nodes:
            if node.is_alive():
                kill(node)
    assert [node.exitcode for node in nodes] == [0, 0]
    steps = lines(run, "train")
    assert {step["process"] for step in steps} == {0, 1}
    ends = [step["position"] for step in steps]
    assert ends == sorted(ends) and ends[-1] == STEPS * SIZE
    assert sum(step["images"] for step in steps) == STEPS * SIZE


def wait_for_listener(endpoint: str) -> None:
    host, port = endpoint.split(":")
    while True:
        try:
            socket.create_connection((host, int(port))).close()
            return
        except OSError:
            time.sleep(0.05)

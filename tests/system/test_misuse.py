"""A wrong path or combination of options is said before torch and DALI, which take seconds."""

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.helpers.console_script import ROOT, run, write_script

EARLIER = ROOT / "tests" / "data" / "earlier"
# Beside tests/data/earlier: words, exit code and a part of the sentence.
MISUSES = (
    ("train --shards nope", 1, "nope holds no complete shards"),
    ("train --out README.md", 2, "--out README.md is a file: give a directory."),
    ("train --resume nope", 2, "--resume nope: there is no checkpoint nope."),
    ("train --resume never --out run", 2, "run already holds a run (config.json)"),
    ("train --global-batch-size 4 --accumulate-steps 3", 2, "--accumulate-steps 3 does not divide"),
    ("train --class-weights nope.csv", 1, "nope.csv"),
    ("train --target-top1 0.9 --monitor loss", 2, "remove one of them"),
    ("train --model nets.py", 2, "--model nets.py names no function: give nets.py:FUNCTION"),
    ("train --model nets.py:net", 2, "--model nets.py can't be read (No such file"),
    ("evaluate own", 2, "own was trained with a model of its own, net of nets.py."),
    ("evaluate own --trust-model", 1, "--trust-model: own/model.py can't be read"),
    ("predict own --model README.py", 2, "README.py is not the file that own was trained with"),
    ("evaluate run --model resnet18", 2, "--model resnet18: the run says which model it has"),
    ("train --train-samples 9999", 2, "samples of train of shards: give at most"),
    ("evaluate nope", 1, "nope holds no run"),
    ("evaluate run --checkpoint nope.pt", 1, "Cannot read run/nope.pt (No such file"),
    ("evaluate run --split tset", 1, "no split 'tset', only: train, val"),
    ("evaluate run --shards nope", 1, "nope holds no complete shards"),
    ("predict run --src *.jpg", 2, "--src *.jpg: no file matches."),
    ("predict run", 1, "no split 'test', only: train, val"),
    ("plot nope", 1, "nope holds no run"),
    ("bench loader --shards nope", 1, "nope holds no complete shards"),
    ("bench loader --split tset", 1, "no split 'tset', only: train, val"),
    ("bench loader --split val --train-samples 10%", 2, "is a part of train, but --split is val"),
    ("bench compute --bare --mode compiled --mode graphs", 2, "--bare takes one --batch-size"),
    ("bench scaling --shards nope", 1, "nope holds no complete shards"),
    ("bench scaling --ranks 3 --nnodes 2 --rdzv-endpoint a:1", 2, "--ranks 3 can't be divided by"),
    ("bench study --data nope", 1, "nope holds no complete shards"),
    ("bench study --between string", 2, "--between string is not a link"),
    ("bench frameworks --shards nope", 1, "nope holds no complete shards"),
    ("bench predict nope.json", 1, "nope.json can't be read"),
    ("bench report nope.json", 1, "nope.json can't be read"),
)


@pytest.fixture(scope="module")
def misused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """Exit code and output of each misuse, two at a time; they print what they import, too."""
    folder = tmp_path_factory.mktemp("misused") / "earlier"
    script = write_script(folder.parent / "bin")
    shutil.copytree(EARLIER, folder)
    for name in ("README.md", "README.py"):
        (folder / name).touch()
    shutil.copytree(folder / "run", folder / "own")
    config = json.loads((folder / "own" / "config.json").read_text())
    config["resolved"] |= {"model_file": {"file": "nets.py", "function": "net", "sha256": "0"}}
    (folder / "own" / "config.json").write_text(json.dumps(config | {"model": "nets.py:net"}))

    def ended(words: str) -> tuple[int, str]:
        result = run([script, *words.split()], folder, PYTHONPROFILEIMPORTTIME="1")
        return result.returncode, result.stderr

    commands = [words for words, *_ in MISUSES]
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(commands, pool.map(ended, commands), strict=True))


@pytest.mark.parametrize(("words", "code", "said"), MISUSES, ids=[words for words, *_ in MISUSES])
def test_misuse_is_said_before_torch_is_imported(
    misused: dict[str, tuple[int, str]], words: str, code: int, said: str
) -> None:
    exit_code, output = misused[words]
    printed = [line for line in output.splitlines() if not line.startswith("import time:")]
    assert (exit_code, said in " ".join(printed)) == (code, True), printed
    assert "Traceback" not in output
    imported = set(re.findall(r"\| +([\w.]+)$", output, re.MULTILINE))
    assert "pipeline.errors" in imported
    assert not imported & {"torch", "torchvision", "nvidia.dali"}

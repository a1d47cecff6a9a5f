"""Checkpoints with flipped bits, and with other contents than a trainer writes: each is refused in
a sentence."""

import os
import pickle
import random
import signal
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.errors import DataError
from tests.helpers.amounts import all_or_tenth, full_or_tenth
from trainer.checkpoints.checkpoint_file import load_checkpoint, snapshot, write_checkpoint
from trainer.checkpoints.pretrained import load_pretrained
from trainer.checkpoints.pretrained_source import WeightsSource
from trainer.checkpoints.progress import Identity, Progress
from trainer.model.sources.torchvision_models import TorchvisionModel
from trainer.optim.build import build_optimizer
from trainer.recipe_config import RecipeConfig

IDENTITY = Identity(fingerprint="abc", seed=3, model="toy", classes=2)
STEP = 64
FLIPS, MIXES = 200, 300


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 2))


def trained(optimizer: str = "sgd") -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = network().to(memory_format=torch.channels_last)
    steps = build_optimizer(model, RecipeConfig(optimizer=optimizer))  # type: ignore[arg-type]
    model(torch.randn(4, 3, 5, 5)).square().sum().backward()
    steps.step()
    return model, steps


def state(optimizer: str = "sgd") -> dict[str, Any]:
    model, steps = trained(optimizer)
    progress = Progress(position=10 * STEP, evaluated_position=8 * STEP, step_origin=0)
    progress.best, progress.best_position = {"top1": 0.5}, 8 * STEP
    config = {"global_batch_size": STEP, "optimizer": optimizer, "resolved": {}}
    parts = {"network": model, "optimizer": steps, "progress": progress, "identity": IDENTITY}
    return snapshot(**parts, config=config, ema=network())  # type: ignore[arg-type]


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def resume(path: Path, optimizer: str = "sgd") -> nn.Module:
    """Use the checkpoint as a resumed run does, and make a step."""
    model, steps = trained(optimizer)
    checkpoint = load_checkpoint(path, IDENTITY)
    checkpoint.restore(network=model, optimizer=steps)
    checkpoint.copy_weights(network(), averaged=True)
    steps.step()
    return model


def load_weights(ours: nn.Module, path: Path) -> None:
    toy = TorchvisionModel(name="toy")
    load_pretrained(ours, WeightsSource(path=path), model=toy, head=(), image_size_px=8)


def pretrain(path: Path) -> None:
    load_weights(network(), path)


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b


def test_each_flipped_bit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, state())
    whole, drawn = path.read_bytes(), random.Random(1)
    load_checkpoint(path, IDENTITY)
    for _ in range(full_or_tenth(FLIPS)):
        data = bytearray(whole)
        bit = drawn.randrange(8 * len(data))
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"Cannot read .*checkpoint\.pt"):
            load_checkpoint(path, IDENTITY)


def test_weights_of_torch_have_no_seal(tmp_path: Path) -> None:
    """A bit flipped in them is found, or changes nothing."""
    good = network().state_dict()
    path = saved(tmp_path / "weights.pt", good)
    whole, drawn, refused = path.read_bytes(), random.Random(3), 0
    for _ in range(full_or_tenth(FLIPS)):
        data = bytearray(whole)
        data[drawn.randrange(len(data))] ^= 16
        path.write_bytes(data)
        ours = network()
        try:
            load_weights(ours, path)
        except DataError as error:
            assert "weights.pt" in error.message
            refused += 1
        else:
            assert same(dict(ours.state_dict()), dict(good))
    assert refused > 0


def change(content: dict[str, Any], place: tuple[Any, ...], value: object) -> dict[str, Any]:
    """Replace the value at `place`; ``DELETE`` removes it."""
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    if value is DELETE:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return content


DELETE = object()
MOMENTUM = ("optimizer", 0, "momentum_buffer")
WRONG_PROGRESS = ["8", -8, 10**30, float("nan"), 7, None, [64], True, torch.ones(2)]
WRONG_TENSORS = [
    *(torch.zeros(1), torch.zeros(4, 3, 3), torch.zeros(4, 3, 3, 3, dtype=torch.float64)),
    *(torch.zeros(4, 3, 3, 3).to_sparse(), torch.zeros(4, 3, 3, 3, device="meta")),
    *(torch.zeros(4, 3, 3, 3, dtype=torch.complex64), torch.full((4, 3, 3, 3), torch.nan)),
    *([[1.0]], None, "text", 3, {}, DELETE),
]
CASES: list[tuple[tuple[Any, ...], object]] = [
    *((("progress", "position"), value) for value in WRONG_PROGRESS),
    *(((entry, "0.weight"), value) for entry in ("network", "ema") for value in WRONG_TENSORS),
    *((MOMENTUM, value) for value in WRONG_TENSORS),
    *(((entry, "extra"), torch.zeros(1)) for entry in ("network", "ema")),
    *(((entry,), v) for entry in ("network", "optimizer") for v in ([], None, 3, {}, DELETE)),
    *((("optimizer", number), value) for number in (0, 99, "0", -1) for value in ([], 3)),
    *((("ema",), value) for value in ([], 3, "text", {})),
    *((("progress", "evaluated_position"), value) for value in (-1, 10**6, 0.5)),
    *((("progress", "best"), value) for value in ([], {"top1": "x"}, {3: 0.5}, {})),
    *((("progress", name), -1) for name in ("spent_seconds", "evaluations_without_gain")),
    *((("progress", "spent_seconds"), value) for value in (float("inf"), float("nan"))),
    *((("progress", "unknown"), 1), (("progress",), []), (("progress",), DELETE)),
    *((("identity", "seed"), value) for value in ("3", [3], None, DELETE)),
    *((("identity",), value) for value in ([], 3, DELETE)),
    *((("version",), value) for value in ("2", [2], torch.ones(2), None, DELETE)),
    *((("config",), value) for value in ([], None, {1: 2}, DELETE)),
    *((("scaler",), value) for value in ([], {"scale": 1.0}, {"scale": "x"}, 3)),
]


@pytest.mark.parametrize(
    ("place", "value"), CASES, ids=lambda part: "absent" if part is DELETE else repr(part)[:40]
)
@pytest.mark.filterwarnings("ignore")
def test_each_other_content_is_refused(
    tmp_path: Path, place: tuple[Any, ...], value: object
) -> None:
    path = saved(tmp_path / "checkpoint.pt", change(state(), place, value))
    with pytest.raises(DataError, match=r"checkpoint\.pt") as raised:
        resume(path)
    assert raised.value.message.endswith(".") and len(raised.value.message) < 600


def places_in(content: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield (*place, key)
            yield from places_in(value, (*place, key))


def test_random_contents_are_refused_or_used(tmp_path: Path) -> None:
    """Two places anywhere get a value of another place, or an odd one."""
    drawn, path = random.Random(2), tmp_path / "checkpoint.pt"
    for number in range(full_or_tenth(MIXES)):
        optimizer = drawn.choice(["sgd", "adamw", "lars"])
        content = state(optimizer)
        everywhere = [*places_in(content)]
        for place in drawn.sample(everywhere, 2):
            inner: Any = content
            for key in drawn.choice(everywhere):
                inner = inner[key] if isinstance(inner, dict) and key in inner else inner
            odd = drawn.choice([inner, *WRONG_PROGRESS, *WRONG_TENSORS[:6], b"", (), 1e308])
            try:
                change(content, place, odd)
            except (KeyError, TypeError, IndexError):
                continue
        try:
            with warnings.catch_warnings(action="ignore"):
                saved(path, content)
                check_use(partial(resume, path, optimizer), number)
                check_use(partial(pretrain, path), number)
        except (pickle.PicklingError, AttributeError):
            continue


def check_use(use: Callable[[], object], number: int) -> None:
    try:
        use()
    except DataError as error:
        assert "checkpoint.pt" in error.message, number


@pytest.mark.parametrize(("before", "now"), all_or_tenth([("adamw", "sgd"), ("sgd", "adamw")]))
def test_another_optimizer_is_refused(tmp_path: Path, before: str, now: str) -> None:
    path = saved(tmp_path / "checkpoint.pt", state(before))
    with pytest.raises(DataError, match=f"give --optimizer {before}, or begin a new run"):
        resume(path, now)
    assert same(resume(path, before)[0].weight.shape, torch.Size([4, 3, 3, 3]))  # type: ignore[index]


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    os.mkfifo(path)
    signal.alarm(20)
    with pytest.raises(DataError, match="not a plain file"):
        load_checkpoint(path, IDENTITY)
    with pytest.raises(DataError, match="not a plain file"):
        pretrain(path)
    with pytest.raises(DataError, match="not a plain file"):
        load_checkpoint(Path("/dev/zero"), IDENTITY)
    signal.alarm(0)

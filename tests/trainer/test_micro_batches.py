"""--accumulate-steps auto: a step that runs out of memory is computed again in smaller parts."""

import json
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import trainer.setup
import trainer.step_setup
import trainer.validation
from pipeline.errors import DataError
from tests.helpers import fitted_steps
from tests.helpers.processes import Torchrun, exit_codes, lines, print_to, start_ranks
from tests.helpers.runs import saved, stop_after, train
from tests.helpers.short_memory import out_of_memory, shorten_memory
from trainer.distributed.collectives import World
from trainer.micro_batches import MicroBatches, micro_batch_count, next_count
from trainer.optim.build import build_optimizer
from trainer.train_step import TrainStep

SIZE = 64


@given(st.integers(1, 512), st.integers(1, 512), st.integers(1, 4))
def test_takes_the_fewest_equal_parts_that_are_small_enough(
    batch_size: int, largest: int, smallest: int
) -> None:
    counts = [count for count in range(1, batch_size + 1) if batch_size % count == 0]
    fitting = [count for count in counts if smallest <= batch_size // count <= largest]
    assert micro_batch_count(batch_size, largest=largest, smallest=smallest) == (
        fitting[0] if fitting else None
    )


@given(st.integers(1, 512), st.integers(1, 4))
def test_divides_until_no_part_is_larger_than_the_model_needs(
    batch_size: int, smallest: int
) -> None:
    tried, count = [], next_count(batch_size, 1, smallest=smallest)
    while count is not None:
        tried.append(count)
        count = next_count(batch_size, count, smallest=smallest)
    allowed = [
        number for number in range(2, batch_size // smallest + 1) if batch_size % number == 0
    ]
    assert set(tried) <= set(allowed) and tried[-1:] == allowed[-1:]
    # Each is the first that halves the parts, but for the last one.
    for before, after in pairwise([1, *tried][: len(tried)]):
        assert after == min(number for number in allowed if number >= 2 * before)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_steps_are_those_of_a_given_number(
    tmp_path: Path, loaded: ForkServerContext, ranks: int
) -> None:
    exit_code, output = Torchrun(loaded, ranks, fitted_steps.__file__, folder=tmp_path).end()
    assert exit_code == 0, output
    differences = json.loads(output.splitlines()[-1])
    assert set(differences) >= set(fitted_steps.CASES)
    # DDP sums the gradients of three ranks in another order; two have but one order.
    assert max(differences.values()) <= (1e-6 if ranks == 3 else 0), differences


def equal(first: Any, second: Any) -> bool:
    """Whether two checkpoints have the same tensors."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(
            equal(value, second[key]) for key, value in first.items()
        )
    return bool(first == second)


def same_weights(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return all(equal(first[name], second[name]) for name in ("network", "ema", "optimizer"))


def test_is_said_logged_saved_and_resumed(
    digits_shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    run = partial(train, digits_shards, ema_decay=0.9, val_every=0, log_every=1)
    with monkeypatch.context() as patch:
        shorten_memory(patch, lambda step, images: step == 1 and images > 20)
        whole = run(tmp_path / "whole", steps=2, accumulate_steps="auto")
    output = " ".join(capfd.readouterr().out.split())
    assert "Each rank computes the 64 images of a step at once, and in smaller parts" in output
    assert (
        "Step 2 ran out of memory: from it on each rank computes the 64 images of a step in 4 "
        "micro-batches of 16, so batch norm sees 16 images at a time; the batch of a step and "
        "its learning rate stay. Next time give --accumulate-steps 4."
    ) in output
    logged = [line["accumulate_steps"] for line in lines(tmp_path / "whole", "train")]
    assert logged == [1, 4]
    assert whole["progress"]["micro_batch_size"] == 16
    assert whole["config"]["resolved"]["accumulate_steps"] == 4

    # A run that is resumed at that step with the number, or with auto at the number, is the same.
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        stop_after(patch, 1)
        run(tmp_path / "parts", steps=2)
    parts = run(tmp_path / "parts", steps=2, accumulate_steps=4)
    assert same_weights(parts, whole)
    assert "accumulate_steps 1 -> 4" in capfd.readouterr().out
    longer = run(tmp_path / "parts", steps=3, accumulate_steps=4)
    again = run(tmp_path / "whole", steps=3, accumulate_steps="auto")
    assert same_weights(longer, again)
    assert "of a step in 4 micro-batches of 16, and in smaller" in capfd.readouterr().out


MEMORY_ENDED = "resnet8 on 32 x 32 px with a batch of 64 per rank"


@pytest.mark.parametrize(("steps", "dtype"), [(1, None), (2, torch.bfloat16), ("auto", None)])
def test_one_sentence_if_no_part_fits(
    steps: Any,
    dtype: torch.dtype | None,
    digits_shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As --precision auto takes it.
    monkeypatch.setattr(trainer.step_setup, "autocast_dtype", lambda *_: dtype)
    shorten_memory(monkeypatch, lambda step, images: step == 1)
    with pytest.raises(DataError) as caught:
        train(digits_shards, tmp_path / "run", image_size=32, accumulate_steps=steps)
    message = str(caught.value)
    assert message.startswith(f"Memory ended in a training step: {MEMORY_ENDED}")
    assert ("--accumulate-steps auto, which divides" in message) == (steps != "auto")
    assert ("can't divide further" in message) == (steps == "auto")
    assert ("--precision bf16" in message) == (dtype is None)


def fail(*_: Any, **__: Any) -> Any:
    raise out_of_memory()


@pytest.mark.parametrize(
    ("place", "patch"),
    [
        ("while the run was built", lambda p: p.setattr(trainer.setup, "build_optimizer", fail)),
        ("in an evaluation", lambda p: p.setattr(trainer.validation, "evaluate", fail)),
        ("in a training step", lambda p: p.setattr(torch.optim.SGD, "step", fail)),
    ],
)
def test_one_sentence_where_memory_ends_elsewhere(
    place: str,
    patch: Callable[[pytest.MonkeyPatch], None],
    digits_shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert build_optimizer is not fail
    patch(monkeypatch)
    with pytest.raises(DataError, match=f"^Memory ended {place}: {MEMORY_ENDED} needs"):
        train(digits_shards, tmp_path / "run", image_size=32, steps=1, accumulate_steps="auto")


def prepare(folder: Path, largest: dict[int, int], rank: int) -> None:
    """On `rank`, in step 1, at most ``largest[rank]`` images fit."""
    print_to(folder / f"output-{rank}.txt")
    limit = largest.get(rank, SIZE)
    shorten_memory(pytest.MonkeyPatch(), lambda step, images: step == 1 and images > limit)


def start(loaded: ForkServerContext, ranks: int, shards: Path, out: Path, **settings: Any) -> Any:
    largest = settings.pop("largest", {})
    settings |= {"threads": 1, "log_every": 1, "val_every": 0, "global_batch_size": 48}
    out.mkdir(exist_ok=True)
    return start_ranks(
        loaded,
        ranks,
        prepare=partial(prepare, out.parent, largest),
        shards=str(shards),
        out=str(out),
        precision="fp32",
        **settings,
    )


@pytest.mark.parametrize("ranks", [2, pytest.param(3, marks=pytest.mark.long)])
def test_ranks_agree_and_resume_on_other_numbers_of_ranks(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext, ranks: int
) -> None:
    """Memory ends on the last rank only; one rank then begins with the same micro-batches."""
    out, epoch = tmp_path / "run", 48 / 1617
    found = {"accumulate_steps": "auto", "largest": {ranks - 1: 7}, "epochs": 3 * epoch}
    assert exit_codes(start(loaded, ranks, digits_shards, out, **found)) == [0] * ranks
    size = {2: 6, 3: 4}[ranks]
    count = 48 // ranks // size
    assert [line["accumulate_steps"] for line in lines(out, "train")] == [1, count, count]
    output = (tmp_path / "output-0.txt").read_text()
    assert output.count("Step 2 ran out of memory") == 1
    assert "batch norm" not in output
    assert (tmp_path / "output-1.txt").read_text() == ""
    assert saved(out)["progress"]["micro_batch_size"] == size
    more = {"accumulate_steps": "auto", "epochs": 5 * epoch}
    assert exit_codes(start(loaded, 1, digits_shards, out, **more)) == [0]
    assert [line["accumulate_steps"] for line in lines(out, "train")][3:] == [48 // size] * 2


@pytest.mark.parametrize("steps", ["auto", pytest.param(2, marks=pytest.mark.long)])
@pytest.mark.parametrize("ranks", [2, pytest.param(3, marks=pytest.mark.long)])
def test_ranks_say_one_sentence(
    digits_shards: Path, tmp_path: Path, loaded: ForkServerContext, ranks: int, steps: Any
) -> None:
    settings = {"accumulate_steps": steps, "largest": {ranks - 1: 0}, "epochs": 0.3}
    codes = exit_codes(start(loaded, ranks, digits_shards, tmp_path / "run", **settings))
    assert codes == [1] * ranks
    output = "".join(path.read_text() for path in tmp_path.glob("output-*.txt"))
    assert output.count("Error: Memory ended in a training step: tiny on ") == 1
    assert "Traceback" not in output


def step_on_gpu(limit_bytes: float | None) -> tuple[torch.Tensor, int, int]:
    """The weights after a step, the number of micro-batches, and the peak memory in bytes."""
    device = torch.device("cuda", 0)
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(16, 16, 3, padding=1) for _ in range(20)]
    ends = (torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    model = torch.nn.Sequential(*layers, *ends).to(device)
    found = MicroBatches(model=model, world=World(device=device), batch_size=64)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    step = TrainStep(model=model, optimizer=optimizer, micro_batches=found)
    images = torch.ones(64, 16, 64, 64, device=device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    if limit_bytes is not None:
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(limit_bytes / total, device)
    try:
        step(images, torch.zeros(64, dtype=torch.int64, device=device), 0.1)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
    weights = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    return weights, found.count, torch.cuda.max_memory_reserved(device)


@pytest.mark.gpu
def test_the_memory_of_a_gpu_ends() -> None:
    whole, count, peak_bytes = step_on_gpu(None)
    assert count == 1
    divided, count, _ = step_on_gpu(0.6 * peak_bytes)
    assert count > 1
    torch.testing.assert_close(divided, whole, rtol=1e-3, atol=1e-5)

"""No step waits for the GPU."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.build import train_loader
from pipeline.config import PipelineConfig
from pipeline.mixup import Mixing
from pipeline.storage.dataset import Dataset
from tests.helpers.step_options import OPTIONS, SIDE, SIZE, mixing, steps
from trainer.tasks.constants import constant

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
# Methods that read a tensor on the host: on a GPU each waits for it.
READS = ("item", "tolist", "numpy", "cpu", "nonzero", "__bool__", "__float__", "__int__")
TORCH = str(Path(torch.__file__).parent)


@contextmanager
def waits_forbidden(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail for what would wait on a GPU: reading a tensor, and copying one to a device without
    `non_blocking`. Within torch, whose copies may be from a device to itself, only for reading."""

    def fail(name: str) -> Callable[..., None]:
        def method(*_: Any, **__: Any) -> None:
            pytest.fail(f"a step calls {name}, which waits for a GPU")

        return method

    def checked(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            values = (*arguments[1:], options.get("device"))
            copies = any(isinstance(value, torch.device | str) for value in values)
            is_ours = not sys._getframe(1).f_code.co_filename.startswith(TORCH)
            if copies and is_ours and not options.get("non_blocking"):
                fail(name)()
            return function(*arguments, **options)

        return call

    with monkeypatch.context() as patched:
        for name in READS:
            patched.setattr(torch.Tensor, name, fail(f"Tensor.{name}"))
        patched.setattr(torch.Tensor, "to", checked("Tensor.to", torch.Tensor.to))
        patched.setattr(torch, "tensor", checked("torch.tensor", torch.tensor))
        yield


@pytest.mark.parametrize("name", OPTIONS)
def test_a_step_calls_nothing_that_waits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    constant.cache_clear()
    losses = steps(OPTIONS[name], CPU, 3)
    first = next(losses)
    with waits_forbidden(monkeypatch):
        later = list(losses)
    assert all(loss.isfinite() for loss in (first, *later))
    constant.cache_clear()  # copied in the first step
    outputs, targets = torch.zeros(outputs_of(name)), OPTIONS[name].targets
    with waits_forbidden(monkeypatch):
        OPTIONS[name].task.loss(outputs, targets)


def test_the_check_finds_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = torch.zeros(1)
    for wait in (
        lambda: tensor.item(),
        lambda: tensor.to(CPU),
        lambda: torch.tensor([1.0], device=CPU),
    ):
        with pytest.raises(pytest.fail.Exception), waits_forbidden(monkeypatch):
            wait()


class _Watched(TorchDispatchMode):
    """Fails if an operator copies from the host to a device and waits."""

    def __init__(self) -> None:
        super().__init__()
        self.copies = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = kwargs or {}
        target = torch.device(options.get("device") or "cpu").type
        is_copy = func is torch.ops.aten._to_copy.default and target == "cuda"
        if is_copy and args[0].device.type == "cpu":
            assert options.get("non_blocking"), "a copy to the GPU waits for it"
            self.copies += 1
        return func(*args, **options)


def outputs_of(name: str) -> tuple[int, ...]:
    return (SIZE, 3, SIDE, SIDE) if name == "segmentation" else (SIZE, 3)


@pytest.fixture
def played_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tensors without memory on a GPU that need not exist; reading one raises an error."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    constant.cache_clear()
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield
    constant.cache_clear()


@pytest.mark.usefixtures("played_gpu")
def test_mixing_sends_one_small_tensor() -> None:
    images = torch.empty(SIZE, 3, SIDE, SIDE, dtype=torch.uint8, device=GPU)
    labels = torch.empty(SIZE, dtype=torch.int64, device=GPU)
    with _Watched() as watched:
        mixed, targets = mixing()(images, labels, 0)
    assert mixed.device == targets.device == GPU
    assert watched.copies == 1


@pytest.mark.usefixtures("played_gpu")
@pytest.mark.parametrize("name", OPTIONS)
def test_a_loss_does_not_wait(name: str) -> None:
    outputs = torch.empty(outputs_of(name), device=GPU)
    targets = torch.empty_like(OPTIONS[name].targets, device=GPU)
    with _Watched():
        assert OPTIONS[name].task.loss(outputs, targets).device == GPU


@contextmanager
def synchronization_is_an_error() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.parametrize("name", OPTIONS)
def test_a_step_on_a_gpu_does_not_wait(name: str) -> None:
    constant.cache_clear()
    losses = steps(OPTIONS[name], GPU, 3)
    first = next(losses)  # allocates
    with synchronization_is_an_error():
        later = list(losses)
    assert all(loss.isfinite().item() for loss in (first, *later))


@pytest.mark.gpu
def test_a_batch_of_dali_does_not_wait(digits_shards: Path) -> None:
    mix = Mixing(seed=0, classes=10, mixup_alpha=0.4, cutmix_alpha=1.0)
    loader = train_loader(
        Dataset(digits_shards), PipelineConfig(threads=2), global_batch_size=32, device=GPU
    )
    with loader:
        batches = iter(loader)
        next(batches)
        with synchronization_is_an_error():
            mixed = [mix(batch.images, batch.labels, 0) for batch in islice(batches, 20)]
    assert len(mixed) == 20

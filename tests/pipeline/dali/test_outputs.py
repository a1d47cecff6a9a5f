"""DALI's outputs on a GPU are copied and held until the copies have passed; the GPU is played."""

import ctypes
import gc
import weakref
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from nvidia.dali.tensors import TensorCPU, TensorListCPU

import pipeline.dali.outputs
from pipeline.dali.outputs import HELD_RUNS, OutputReader

GPU = torch.device("cuda", 0)


class Event:
    """Passes when the test says so, or when it is waited for."""

    made: ClassVar[list["Event"]] = []

    def __init__(self, *, blocking: bool) -> None:
        assert blocking
        self.passed, self.waited, self.stream = False, False, None
        Event.made.append(self)

    def record(self, stream: Any) -> None:
        self.stream = stream

    def query(self) -> bool:
        return self.passed

    def synchronize(self) -> None:
        self.waited |= not self.passed
        self.passed = True


class Stream:
    cuda_stream = 0x51


class GpuOutput:
    """DALI's list of tensors on a GPU, in host memory."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.copies = array, 0

    def as_tensor(self) -> "GpuOutput":
        return self

    def shape(self) -> list[int]:
        return list(self.array.shape)

    def copy_to_external(self, address: Any, stream: Any, *, non_blocking: bool) -> None:
        assert non_blocking and stream.value == Stream.cuda_stream
        ctypes.memmove(address, self.array.ctypes.data, self.array.nbytes)
        self.copies += 1


@pytest.fixture(autouse=True)
def played_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Event.made = []
    empty = torch.empty
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream())
    monkeypatch.setattr(pipeline.dali.outputs, "TensorListGPU", GpuOutput)
    monkeypatch.setattr(
        torch, "empty", lambda *size, device, **options: empty(*size, **options), raising=True
    )
    yield


def pixels(value: int = 0) -> np.ndarray:
    return np.full((2, 4, 4, 3), value, np.uint8)


def test_a_copy_has_the_pixels_and_its_own_memory() -> None:
    reader, output = OutputReader(GPU), GpuOutput(pixels(7))
    (tensor,) = reader.tensors([output])
    output.array[:] = 0
    assert tensor.shape == (2, 4, 4, 3) and tensor.dtype is torch.uint8
    assert (tensor == 7).all()


def test_an_output_is_held_until_its_copy_has_passed() -> None:
    reader, output = OutputReader(GPU), GpuOutput(pixels())
    held = weakref.ref(output)
    reader.tensors([output])
    del output
    reader.tensors([GpuOutput(pixels())])
    gc.collect()
    assert held() is not None
    Event.made[0].passed = True
    reader.tensors([GpuOutput(pixels())])
    gc.collect()
    assert held() is None
    assert not any(event.waited for event in Event.made)
    assert all(isinstance(event.stream, Stream) for event in Event.made)


def test_a_loop_that_runs_ahead_waits_for_the_oldest_copy() -> None:
    reader = OutputReader(GPU)
    for _ in range(HELD_RUNS):
        reader.tensors([GpuOutput(pixels())])
    assert not any(event.waited for event in Event.made)
    reader.tensors([GpuOutput(pixels())])
    assert [event.waited for event in Event.made] == [True] + HELD_RUNS * [False]


def test_the_end_waits_for_all_copies() -> None:
    reader, output = OutputReader(GPU), GpuOutput(pixels())
    held = weakref.ref(output)
    reader.tensors([output])
    del output
    reader.close()
    gc.collect()
    assert Event.made[0].waited and held() is None


def test_masks_stay_on_the_host() -> None:
    masks = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 1)
    images, seen = OutputReader(GPU).tensors([GpuOutput(pixels(3)), dense(masks)])
    assert (images == 3).all()
    assert np.array_equal(seen.numpy(), masks)


@pytest.mark.parametrize(
    "reader", [OutputReader(torch.device("cpu")), OutputReader(GPU, views=True)]
)
def test_views_share_memory_and_hold_nothing(reader: OutputReader) -> None:
    array = pixels(5)
    (tensor,) = reader.tensors([dense(array)])
    assert tensor.data_ptr() == array.ctypes.data
    assert Event.made == []


def dense(array: np.ndarray) -> Any:
    """DALI's list of tensors on the host, in the memory of `array`."""
    return TensorListCPU(TensorCPU(array, "", False), "")

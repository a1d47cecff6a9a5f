"""Copies that wait for nothing, and the CUDA device of threads; without a GPU."""

import threading

import pytest
import torch

from pipeline.daemon_thread import DaemonThread
from pipeline.on_device import thread_start, to_device, with_index

GPU_1 = torch.device("cuda", 1)


def test_each_thread_sets_its_device_first(monkeypatch: pytest.MonkeyPatch) -> None:
    acts: list[tuple[int, object]] = []
    monkeypatch.setattr(
        torch.cuda, "set_device", lambda device: acts.append((threading.get_ident(), device))
    )
    pool = DaemonThread("test", 2, at_start=thread_start(GPU_1))
    barrier = threading.Barrier(2, timeout=30)

    def work() -> None:
        barrier.wait()  # so that each thread gets one
        acts.append((threading.get_ident(), "work"))

    for future in [pool.submit(work), pool.submit(work)]:
        future.result(30)
    pool.close()
    threads = {thread for thread, _ in acts}
    assert len(threads) == 2
    assert all([act for one, act in acts if one == thread] == [GPU_1, "work"] for thread in threads)


def test_a_failed_start_fails_every_function() -> None:
    def fail() -> None:
        raise RuntimeError("no such device")

    thread = DaemonThread("test", at_start=fail)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no such device"):
            thread.submit(lambda: 1).result(30)
    thread.close()


def test_threads_on_cpus_set_no_device() -> None:
    assert thread_start(torch.device("cpu")) is None


def test_a_gpu_without_a_number_is_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert with_index(torch.device("cuda")) == GPU_1
    assert with_index(torch.device("cuda", 0)) == torch.device("cuda", 0)
    assert with_index(torch.device("cpu")) == torch.device("cpu")


def test_copies_to_a_gpu_are_pinned_and_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    tensor = torch.arange(3)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: calls.append("pin") or self)
    monkeypatch.setattr(
        torch.Tensor, "to", lambda self, *to, **options: calls.append((*to, options)) or self
    )
    to_device(tensor, GPU_1)
    assert calls == ["pin", (GPU_1, {"non_blocking": True})]

"""DALI's outputs as torch tensors."""

import ctypes
from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from nvidia.dali.tensors import TensorListGPU
from torch.utils.dlpack import from_dlpack

# Runs whose outputs may wait for their copies. A loop that reads no result from the GPU could run
# ahead of it without a limit, and each of these runs keeps DALI's memory.
HELD_RUNS = 8


class OutputReader:
    """Hands DALI's outputs to torch: views on a CPU, copies in torch's memory on a GPU.

    A view of GPU memory costs more than the copy: when it is released, a thread of DALI calls
    cudaDeviceSynchronize, which takes a core while it waits, and fails while a CUDA graph is
    captured (DLTensorGraveyard in DALI's dltensor.cc, NVIDIA/DALI#6259).

    Args:
        device: of the batches.
        views: whether to make views on a GPU as well.
    """

    def __init__(self, device: torch.device, *, views: bool = False) -> None:
        self._device, self._copies = device, device.type == "cuda" and not views
        self._held: deque[tuple[torch.cuda.Event, Sequence[Any]]] = deque()

    def tensors(self, outputs: Sequence[Any]) -> list[torch.Tensor]:
        """The outputs of a run, lists of tensors of one shape, as torch tensors. Outputs on the
        host stay there."""
        if not self._copies:
            return [_view(output) for output in outputs]
        self._release(HELD_RUNS - 1)
        stream = torch.cuda.current_stream(self._device)
        tensors = [
            self._copy(output, stream) if isinstance(output, TensorListGPU) else _view(output)
            for output in outputs
        ]
        # A wait for a blocking event sleeps, other waits spin.
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(stream)
        # DALI may reuse the memory of outputs that nobody holds, on streams of its own.
        self._held.append((event, outputs))
        return tensors

    def close(self) -> None:
        """Wait until all copies have passed, and release the outputs."""
        self._release(0)

    def _copy(self, output: Any, stream: torch.cuda.Stream) -> torch.Tensor:
        source = output.as_tensor()
        copy = torch.empty(source.shape(), dtype=torch.uint8, device=self._device)
        address, handle = ctypes.c_void_p(copy.data_ptr()), ctypes.c_void_p(stream.cuda_stream)
        # The stream waits for DALI's work on the output.
        source.copy_to_external(address, handle, non_blocking=True)
        return copy

    def _release(self, limit: int) -> None:
        """Release the outputs whose copies have passed, and wait for the oldest if more than
        `limit` are left."""
        while self._held:
            event, _ = self._held[0]
            has_passed: bool = event.query()  # type: ignore[no-untyped-call]
            if not has_passed and len(self._held) <= limit:
                return
            event.synchronize()
            self._held.popleft()


def _view(output: Any) -> torch.Tensor:
    tensor: torch.Tensor = from_dlpack(output.as_tensor())
    return tensor

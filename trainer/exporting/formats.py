"""Writes each format, and reads it as its users do, for the comparison with torch."""

import copy
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from pipeline.errors import DataError
from trainer.exporting.facts import INPUT, KEY
from trainer.exporting.network import ExportedNetwork

# Images -> outputs, both as ExportedNetwork has them.
Outputs = Callable[[torch.Tensor], torch.Tensor]
# Above this size torch writes the weights of an ONNX file to a second one.
_ONNX_BYTES = 1536 * 2**20


class Format(Protocol):
    """A kind of file."""

    def write(
        self, path: Path, network: ExportedNetwork, example: torch.Tensor, facts: Mapping[str, Any]
    ) -> None:
        """Write `network` and `facts` to `path`. `example` are images as the network takes them."""

    def read(self, path: Path, network: ExportedNetwork) -> Outputs:
        """What the file computes. `network` is the one that it was written from."""


class Onnx:
    """An ONNX file, by torch.export, for onnxruntime."""

    def write(
        self, path: Path, network: ExportedNetwork, example: torch.Tensor, facts: Mapping[str, Any]
    ) -> None:
        size = sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))
        if size > _ONNX_BYTES:
            raise DataError(
                f"--to onnx: the network has {size / 2**30:.1f} GiB of weights, but an ONNX file "
                f"holds at most 2 GiB: give --to torchscript."
            )
        axes = {0: "batch"} | ({2: "height", 3: "width"} if facts["any_size"] else {})
        with _quiet():
            program: Any = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=[facts["output"]],
                dynamic_shapes=(axes,),
                verbose=False,
            )
        program.model.metadata_props[KEY] = json.dumps(facts)
        program.save(path, external_data=False)

    def read(self, path: Path, network: ExportedNetwork) -> Outputs:
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return lambda images: torch.from_numpy(session.run(None, {INPUT: images.numpy()})[0])


class TorchScript:
    """A trace for torch.jit.load."""

    def write(
        self, path: Path, network: ExportedNetwork, example: torch.Tensor, facts: Mapping[str, Any]
    ) -> None:
        # The comparison with `network` takes the place of torch's own, on other images.
        with _quiet():
            trace: Any = torch.jit.trace
            traced = trace(network, (example,), check_trace=False)
            with path.open("wb") as file:
                torch.jit.save(traced, file, _extra_files={KEY: json.dumps(facts)})

    def read(self, path: Path, network: ExportedNetwork) -> Outputs:
        with _quiet():
            loaded: Outputs = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
        return loaded


class Safetensors:
    """The state dict of the network, for `build`, which makes the same one without weights."""

    def __init__(self, build: Callable[[], nn.Module]) -> None:
        self.build = build

    def write(
        self, path: Path, network: ExportedNetwork, example: torch.Tensor, facts: Mapping[str, Any]
    ) -> None:
        from safetensors.torch import save

        # Not as channels-last memory, and weights that two layers share once for each.
        tensors = {
            name: tensor.contiguous().clone()
            for name, tensor in network.model.network.state_dict().items()
        }
        # The format is what other libraries look for.
        path.write_bytes(save(tensors, {"format": "pt", KEY: json.dumps(facts)}))

    def read(self, path: Path, network: ExportedNetwork) -> Outputs:
        from safetensors.torch import load_file

        other = copy.deepcopy(network)
        other.model.network = self.build()
        other.model.network.load_state_dict(load_file(path))
        return other.eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch warns of, logs and prints, which is whole graphs after an error: the
    comparison says what is wrong, and the page what is deprecated."""
    disabled, output = logging.root.manager.disable, io.StringIO()
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(output), redirect_stderr(output):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)

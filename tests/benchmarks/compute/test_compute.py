"""bench-compute makes the trainer's steps and counts their work."""

import json
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.compute import __main__ as compute
from benchmarks.compute.device_peaks import PEAKS, peak_of
from benchmarks.compute.utilization import describe_ceiling, peak_tflops
from benchmarks.compute.work import Traffic, count_work
from benchmarks.measuring.alternate import Measurement
from benchmarks.measuring.result_file import read_bundle, verify
from tests.helpers.cli import invoke
from tests.helpers.processes import Torchrun

TINY = ("--model", "squeezenet1_1", "--image-size", "32", "--seconds", "0.01", "--runs", "2")
SMALL = (*TINY, "--device", "cpu")


@pytest.mark.long
def test_sizes_and_modes() -> None:
    modes = ("--mode", "contiguous", "--mode", "channels-last")
    result = invoke(compute.main, *SMALL, *modes, "--batch-size", "2", "--batch-size", "4")
    assert result.exit_code == 0, result.output
    *_, finding, line = result.output.splitlines()
    record = json.loads(line)
    verify(record, "stdout")
    assert list(record["median"]) == [
        f"{mode}, batch {size}" for mode in ("contiguous", "channels-last") for size in (2, 4)
    ]
    assert finding == record["finding"] and "at most" in finding
    assert record["world_size"] == 1
    for name, figures in record["figures"].items():
        size = int(name.split()[-1])
        rate = record["median"][name]
        assert figures["step_seconds"] == pytest.approx(size / rate)
        assert figures["tflops"] == pytest.approx(rate * figures["gflop_per_image"] / 1e3)
        # Unknown on a CPU.
        assert figures["mfu"] is figures["memory_roofline"] is figures["peak_memory_bytes"] is None


def test_the_trainer_s_loop_is_compared_with_a_bare_one() -> None:
    result = invoke(compute.main, *SMALL, "--bare", "--batch-size", "2")
    assert result.exit_code == 0, result.output
    record = json.loads(result.output.splitlines()[-1])
    assert record["ratio"] == record["median"]["trainer"] / record["median"]["bare"]


@pytest.mark.long
def test_two_ranks_are_measured_together(tmp_path: Path, loaded: ForkServerContext) -> None:
    output = tmp_path / "two.json"
    arguments = (compute.__file__, *SMALL, "--batch-size", "2", "--output", output)
    exit_code, printed = Torchrun(loaded, 2, *arguments, folder=tmp_path).end()
    assert exit_code == 0, printed
    record = read_bundle(output)
    assert record["world_size"] == 2
    (figures,), (rate,) = record["figures"].values(), record["median"].values()
    assert figures["step_seconds"] == pytest.approx(2 * 2 / rate)


class Linear(nn.Module):
    """A linear layer from 3 x 4 x 4 px to 5 outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 4 * 4, 5, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.linear(images.flatten(1).float())
        return logits


def test_the_work_of_a_linear_layer() -> None:
    """Its input needs no gradient: one product forward, and one for the weights."""
    model = Linear()
    work = count_work(model, image_size_px=4, device=torch.device("cpu"), dtype=None)
    assert work.flops_per_image == 2 * 2 * 48 * 5
    assert work.bytes_of(10) == 10 * work.bytes_per_image + work.bytes_per_step
    # The products read the image and the logits or their gradients, and read or write the weights.
    assert work.bytes_per_image >= 2 * 4 * (48 + 5)
    assert work.bytes_per_step >= 2 * 4 * 48 * 5
    assert all(weight.grad is None for weight in model.parameters())


def test_traffic_excludes_pointwise_operators() -> None:
    left, right = torch.zeros(4, 8), torch.zeros(8, 2)
    with Traffic() as traffic:
        ((left @ right).relu() + 1).view(-1)
    assert traffic.bytes == 4 * (4 * 8 + 8 * 2 + 4 * 2)


@pytest.mark.long
def test_resnet50_takes_24_gflop_an_image() -> None:
    from trainer.model.build import build_model
    from trainer.model.sources.find import find_model
    from trainer.model.sources.source import NetworkSpec

    half = (0.5, 0.5, 0.5)
    spec = NetworkSpec(classes=1000, image_size_px=64)
    model = build_model(find_model("resnet50"), spec, mean=half, std=half, seed=0)
    work = count_work(model, image_size_px=64, device=torch.device("cpu"), dtype=None)
    # He et al.: 4.1 G multiply-adds forward at 224 px, twice that backward but for the first layer.
    assert pytest.approx(work.flops_per_image, rel=0.05) == 6 * 4.09e9 * (64 / 224) ** 2


@pytest.mark.parametrize(
    ("name", "memory"),
    [
        ("NVIDIA H200", 4800),
        ("NVIDIA H100 80GB HBM3", 3350),
        ("NVIDIA L40S", 864),
        ("NVIDIA L4", 300),
        ("Tesla V100-SXM2-16GB", 900),
        ("A100-SXM4-40GB", 1555),  # from a driver before 470
        ("NVIDIA GeForce RTX 4090", 1008),
    ],
)
def test_peaks_of_known_devices(name: str, memory: float) -> None:
    peak = peak_of(name)
    assert peak is not None and peak.memory_gb_per_second == memory


@pytest.mark.parametrize(
    "name",
    [
        *("x86_64 CPU, 2 threads", "NVIDIA A10G", "NVIDIA H100 NVL", ""),
        *(
            "NVIDIA GeForce RTX 3090 Ti",
            "NVIDIA GeForce RTX 4090 Laptop GPU",
            "NVIDIA RTX A6000-8C",
        ),
        "Tesla V100S-PCIE-32GB",
    ],
)
def test_an_unknown_device_has_no_peak(name: str) -> None:
    assert peak_of(name) is None


def test_peaks_have_plausible_rates_and_a_source() -> None:
    """Tensor cores multiply float16 twice as fast as TF32: a figure of sparse matrices among dense
    ones would differ."""
    for name, peak in PEAKS.items():
        half, fp32 = peak.tflops["fp16"], peak.tflops["fp32"]
        assert peak.source.startswith("NVIDIA "), name
        if "tf32" in peak.tflops:
            assert half / peak.tflops["tf32"] == pytest.approx(2, rel=0.03), name
            assert peak.tflops["bf16"] == half, name
        assert 1.9 < half / fp32 < 31, name


def test_the_peak_depends_on_the_precision() -> None:
    h100 = PEAKS["H100 80GB HBM3"]
    assert peak_tflops(h100, torch.bfloat16, "auto") == 989.4
    assert peak_tflops(h100, None, "tf32") == 494.7
    assert peak_tflops(h100, None, "fp32") == 66.9
    assert peak_tflops(PEAKS["Tesla T4"], torch.bfloat16, "bf16") is None
    assert peak_tflops(None, None, "fp32") is None


def test_the_ceiling_in_a_sentence() -> None:
    rows = [Measurement(name=name, values=(rate,) * 2) for name, rate in (("a", 10), ("b", 20))]
    row: dict[str, Any] = {"tflops": 0.5, "mfu": 0.25, "memory_roofline": 0.5}
    sentence = "Without input the model trains at most 20.00 images/s (20.00 to 20.00), with b: "
    sentence += "0.5 TFLOP/s"
    assert describe_ceiling(rows, {"b": row}) == (
        f"{sentence}, 25% of the device's peak, and 50% of its memory's."
    )
    unknown = row | {"mfu": None, "memory_roofline": None}
    assert (
        describe_ceiling(rows, {"b": unknown}) == f"{sentence}; the peak of this device is unknown."
    )

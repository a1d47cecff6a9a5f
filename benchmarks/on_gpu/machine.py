"""The GPU as nvidia-smi describes it, and the versions of everything that uses it."""

import shutil
import subprocess
from typing import Any

import torch

from benchmarks.measuring.provenance import environment
from benchmarks.measuring.result_file import publish
from benchmarks.on_gpu.config import GpuRun
from pipeline.console import print_line
from pipeline.errors import DataError

QUERY = "name,driver_version,memory.total,power.limit,clocks.max.sm,mig.mode.current"


def describe_machine(config: GpuRun, output: str) -> None:
    """Print and publish the description. Raises ``DataError`` if torch finds no GPU for --device
    cuda."""
    found = torch.cuda.is_available()
    for arguments in ((), ("-q", "-d", "CLOCK,POWER,PERFORMANCE")):
        print_line(run_nvidia_smi(*arguments))
    queried = run_nvidia_smi(f"--query-gpu={QUERY}", "--format=csv")
    versions = library_versions()
    facts = environment()
    gpus = ", ".join(facts["gpus"] or ()) or "no GPU"
    finding = f"{gpus}; {facts['cpus']} cores ({facts['cpu']}); " + ", ".join(
        f"{name} {version}" for name, version in versions.items() if version
    )
    print_line(finding)
    publish(
        {
            "kind": "benchmarks.on_gpu machine",
            "benchmark": "The machine",
            "finding": f"{finding}.",
            "nvidia_smi": queried,
            "versions": versions,
            "environment": facts,
        },
        output,
    )
    if config.device == "cuda" and not found:
        raise DataError("torch finds no GPU: check the driver, and CUDA_VISIBLE_DEVICES.")


def run_nvidia_smi(*arguments: str) -> str:
    """What nvidia-smi prints, or why it prints nothing."""
    if not shutil.which("nvidia-smi"):
        return "nvidia-smi is not installed."
    command = ("nvidia-smi", *arguments)
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    except subprocess.TimeoutExpired:
        return "nvidia-smi does not answer within 20 s."
    return (ended.stdout or ended.stderr).strip()


def library_versions() -> dict[str, Any]:
    """Version -> of the libraries that torch uses; None for those that it does not have."""
    cuda = torch.cuda.is_available()
    return {
        "torch": torch.__version__,
        "CUDA": torch.version.cuda,
        "cuDNN": torch.backends.cudnn.version() if cuda else None,  # type: ignore[no-untyped-call]
        "NCCL": nccl_version() if cuda else None,
        "compute capability": ".".join(map(str, torch.cuda.get_device_capability()))
        if cuda
        else None,
    }


def nccl_version() -> str:
    return ".".join(map(str, torch.cuda.nccl.version()))  # type: ignore[no-untyped-call]

"""What a rank finds on its machine: a GPU that torch can use, and a network interface."""

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from pipeline.console import print_line
from pipeline.daemon_thread import DaemonThread
from pipeline.errors import MisuseError

# Longer than a look-up over a network takes, shorter than several that fail.
NAME_SECONDS = 15.0
DRIVER = Path("/proc/driver/nvidia/version")
_INTERFACE = "GLOO_SOCKET_IFNAME"


def choose_device(kind: str, local_rank: int, local_world_size: int) -> torch.device:
    """The device of a rank. Says on rank 0 if "auto" leaves a GPU unused.

    Args:
        kind: "cpu", "cuda", or "auto" for CUDA if available.

    Raises:
        MisuseError: there are too few GPUs, or torch has no kernels for this one.
    """
    if kind == "cpu":
        return torch.device("cpu")
    unused = "" if torch.cuda.is_available() else _unused_gpu()
    if kind == "auto" and not torch.cuda.is_available():
        if unused and local_rank == 0:
            print_line(f"{unused} Running on the CPU; --device cpu omits this message.", err=True)
        return torch.device("cpu")
    gpus = torch.cuda.device_count()
    if not gpus:
        raise MisuseError(
            f"--device cuda: torch finds no GPU on this machine. {unused} Give --device cpu, or "
            f"repair the driver."
        )
    if local_world_size > gpus:
        raise MisuseError(
            f"{local_world_size} ranks on a machine with {gpus} GPUs: start torchrun with "
            f"--nproc_per_node {gpus}, or give --device cpu."
        )
    capability, archs = torch.cuda.get_device_capability(local_rank), torch.cuda.get_arch_list()
    if not has_kernels(capability, archs):
        major, minor = capability
        raise MisuseError(
            f"torch {torch.__version__} has no kernels for GPU {local_rank}, "
            f"{torch.cuda.get_device_name(local_rank)}, of compute capability {major}.{minor}; it "
            f"has {', '.join(archs)}. Give --device cpu, or install a torch built for this GPU."
        )
    return torch.device("cuda", local_rank)


def has_kernels(capability: tuple[int, int], archs: Sequence[str]) -> bool:
    """Whether a GPU of this compute capability runs kernels compiled for one of `archs`, such as
    "sm_86" (this and later ones of the same major version) or "compute_90" (all later ones). True
    for archs that are not named like this, such as those of ROCm.

    Source: CUDA C++ Programming Guide, section "Application Compatibility".
    """
    known = [arch.partition("_") for arch in archs]
    if not known or any(kind not in ("sm", "compute") for kind, _, _ in known):
        return True
    for kind, _, digits in known:
        # "sm_90a" is for 9.0 alone.
        number = int(digits.rstrip("af"))
        built = divmod(number, 10)
        if digits[-1] == "a":
            fits = kind == "sm" and built == capability
        elif kind == "sm":
            fits = built[0] == capability[0] and built[1] <= capability[1]
        else:
            fits = built <= capability
        if fits:
            return True
    return False


def _unused_gpu() -> str:
    """Why torch sees no GPU on a machine that has NVIDIA's driver; "" without one, or if
    CUDA_VISIBLE_DEVICES hides all GPUs on purpose."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not DRIVER.exists() or (hidden is not None and hidden.strip() in ("", "-1")):
        return ""
    if torch.version.cuda is None:
        reason = f"torch {torch.__version__} is built for the CPU: install one with CUDA"
    else:
        reason = (
            f"it may be too old for CUDA {torch.version.cuda} of this torch, or the container was "
            f"started without --gpus all: compare with nvidia-smi"
        )
    return f"This machine has NVIDIA's driver, but torch sees no GPU: {reason}."


def name_interface(
    local_rank: int, resolve: Callable[[str], object] = lambda name: socket.getaddrinfo(name, None)
) -> None:
    """If the name of this machine has no address, let gloo use the loopback interface.

    Raises ``MisuseError`` on several nodes, which can't meet there.
    """
    if os.environ.get(_INTERFACE):
        return
    name = socket.gethostname()
    try:
        DaemonThread("shardline-name").submit(lambda: resolve(name)).result(NAME_SECONDS)
    except (OSError, TimeoutError) as error:
        problem = f"The name of this machine, {name}, has no address ({_reason(error)})."
        if os.environ.get("GROUP_WORLD_SIZE", "1") != "1":
            raise MisuseError(
                f"{problem} Set {_INTERFACE} to the network interface that the nodes share, as in "
                f"{_INTERFACE}=eth0 (`ip address` lists them), or add the name to /etc/hosts."
            ) from error
        os.environ[_INTERFACE] = "lo"
        if local_rank == 0:
            print_line(
                f"{problem} The ranks use the loopback interface; set {_INTERFACE} for another.",
                err=True,
            )


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or f"no answer in {NAME_SECONDS:g} s"

"""Loaders to compare: each module of this package has ``PEERS``, command line name -> ``Peer``.

Images are uint8 tensors (B, 3, 224, 224). Pixels are "equal" if crops are drawn as by torchvision's
``RandomResizedCrop``, decoded as by libjpeg-turbo's defaults, resized in RGB, bilinearly and
antialiased, and half of them flipped: two such loaders differ by rounding only.

No loader normalizes. A uint8 batch is four times smaller on its way to the device, where the first
operation of the model normalizes at less cost than any loader could. That helps those loaders most
that send batches between processes.

A module imports its libraries when it is called, since most of them are in the peers' virtualenv.
"""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from benchmarks.peers.contract import OURS, Peer


@cache
def find_peers() -> dict[str, Peer]:
    """The peers of all modules of this package by their names on the command line, ours first."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    peers = {name: peer for module in modules for name, peer in module.PEERS.items()}
    return {OURS: peers[OURS]} | peers

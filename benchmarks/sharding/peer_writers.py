"""Other writers of datasets, used as in their manuals, in the peers' virtualenv:
``python -m benchmarks.sharding.peer_writers PEER WORK SRC OUT``.

WORK is "recode", to JPEG by the same encoder for all, or "keep". It prints the seconds of the work
without the start of Python and its imports.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.peers.loaders.litdata_chunks import optimize
from benchmarks.sharding.bare_programs import list_sources, recode

LabeledPath = tuple[str, int]
Work = Callable[[str], bytes]

# As large as those of tools/shard; the other writers use their default, 64 MiB.
_SHARD_BYTES = 256 * 2**20


def _keep(path: str) -> bytes:
    return Path(path).read_bytes()


WORKS: dict[str, Work] = {"recode": recode, "keep": _keep}


def write_webdataset(work: Work, sources: Sequence[LabeledPath], out: str) -> float:
    from webdataset import ShardWriter

    start = time.perf_counter()
    with ShardWriter(f"{out}/train-%06d.tar", maxsize=_SHARD_BYTES, verbose=0) as sink:
        for number, (path, label) in enumerate(sources):
            component = "jpg" if work is recode else Path(path).suffix[1:].lower()
            sink.write({"__key__": f"{number:09d}", component: work(path), "cls": label})
    return time.perf_counter() - start


def write_mosaicml(work: Work, sources: Sequence[LabeledPath], out: str) -> float:
    from streaming import MDSWriter

    start = time.perf_counter()
    with MDSWriter(out=out, columns={"image": "bytes", "label": "int"}) as sink:
        for path, label in sources:
            sink.write({"image": work(path), "label": label})
    return time.perf_counter() - start


def write_litdata(work: Work, sources: Sequence[LabeledPath], out: str) -> float:
    return optimize(partial(_litdata_sample, work), list(sources), out, workers=2)


def _litdata_sample(work: Work, source: LabeledPath) -> dict[str, Any]:
    return {"image": work(source[0]), "label": source[1]}


PEERS: dict[str, Callable[[Work, Sequence[LabeledPath], str], float]] = {
    "webdataset": write_webdataset,
    "mosaicml-streaming": write_mosaicml,
    "litdata": write_litdata,
}


if __name__ == "__main__":
    _peer, _work, _src, _out = sys.argv[1:]
    _seconds = PEERS[_peer](WORKS[_work], list_sources(_src), _out)
    print(json.dumps({"work_seconds": _seconds}))

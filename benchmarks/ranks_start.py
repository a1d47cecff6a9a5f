"""torchrun, as ``-m benchmarks.ranks_start``: where ranks fail, which have said why, it adds no
traceback of its own."""

import sys

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

if __name__ == "__main__":
    try:
        main()
    except ChildFailedError:
        sys.exit(1)

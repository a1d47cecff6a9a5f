"""The maximum over the ranks, by gloo and in rounds."""

from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from tests.helpers import largest_values
from tests.helpers.processes import Torchrun


@pytest.mark.parametrize("ranks", [2, 3])
def test_maximum_over_the_ranks(tmp_path: Path, loaded: ForkServerContext, ranks: int) -> None:
    exit_code, output = Torchrun(loaded, ranks, largest_values.__file__, folder=tmp_path).end()
    assert exit_code == 0, output
    assert output.splitlines()[-1] == "right"

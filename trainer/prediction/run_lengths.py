"""Run lengths of masks as Kaggle writes them."""

import numpy as np
from numpy.typing import NDArray


def run_lengths(mask: NDArray[np.bool_]) -> str:
    """Pairs of the first pixel and the length of each run of True, separated by spaces; "" for an
    empty mask. Pixels are numbered from 1, down the first column of `mask` (H, W), then down the
    next. (Kaggle's competitions of masks describe this form, such as
    kaggle.com/c/tgs-salt-identification-challenge/overview/evaluation.)"""
    pixels = np.concatenate([[False], mask.ravel(order="F"), [False]])
    borders = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    starts, ends = borders[0::2], borders[1::2]
    return " ".join(map(str, np.stack([starts, ends - starts], axis=1).ravel().tolist()))

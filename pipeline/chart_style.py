"""The style of all charts, in the colors of Okabe and Ito ("Color Universal Design", 2008), which
remain distinct with color blindness."""

from typing import Any

from pipeline.chart_fonts import FONT

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
RED, SKY, YELLOW, GRAY = "#D55E00", "#56B4E9", "#F0E442", "#999999"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY, YELLOW)

# Smaller images are drawn with every pixel as a square.
PIXELATED_PX = 64

# For ``matplotlib.rc_context``.
STYLE: Any = {
    "font.family": FONT,
    "font.size": 10,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "text.parse_math": False,  # names from the data may contain a $
}

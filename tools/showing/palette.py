"""Colours of Okabe and Ito, which the colour-blind tell apart."""

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
RED, SKY, YELLOW, GRAY = "#D55E00", "#56B4E9", "#F0E442", "#999999"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, RED, SKY, YELLOW)


def mask_colours(classes: int) -> list[tuple[int, int, int] | None]:
    """RGB of the classes of a mask; the first is mostly the background, and left as it is."""
    shades = [_rgb(CYCLE[n % len(CYCLE)]) for n in range(classes - 1)]
    return [None, *shades]


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[n : n + 2], 16) for n in (1, 3, 5))
    return red, green, blue

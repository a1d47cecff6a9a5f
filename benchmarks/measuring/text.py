"""Numbers for people."""


def figure(value: float) -> str:
    """At least three significant digits, with thousands separators."""
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3
    return f"{value:,.{digits}f}"

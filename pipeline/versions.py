"""Versions of installed packages."""

from importlib.metadata import PackageNotFoundError, version


def installed_version(package: str) -> str | None:
    """The version of `package`; None if it is not installed, as our own in a bare checkout."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None

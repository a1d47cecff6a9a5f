"""The image files that --src of a prediction names; needs no torch."""

from pathlib import Path

from pipeline.errors import MisuseError


def source_files(src: str) -> Path | list[Path]:
    """`src` if it is a folder, else the files that the pattern `src` matches. Raises
    ``MisuseError`` if there are none."""
    if Path(src).is_dir():
        return Path(src)
    # Not needed for --help, which it would delay.
    import fsspec

    files = [Path(name) for name in fsspec.filesystem("file").glob(src) if Path(name).is_file()]
    if not files:
        raise MisuseError(f"--src {src}: no file matches.")
    return files

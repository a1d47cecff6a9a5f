"""A file with settings for a machine, which ``bench-loader --tune`` writes."""

import json
from pathlib import Path
from typing import Any

from pipeline.errors import MisuseError
from pipeline.options import defaults_option


def read_profile(path: str) -> dict[str, Any]:
    """Read a profile: field -> value, such as {"threads": 8, "prefetch": 3}. Raises
    ``MisuseError``."""
    try:
        settings = json.loads(Path(path).read_text())
    except OSError as error:
        raise MisuseError(f"--profile-file {path} can't be read ({error.strerror}).") from error
    except ValueError as error:
        raise MisuseError(f"--profile-file {path} is not JSON: {error}.") from error
    if not isinstance(settings, dict):
        raise MisuseError(f"--profile-file {path} is not a JSON object of options and values.")
    return settings


profile_file = defaults_option(
    "--profile-file",
    read_profile,
    "Load option defaults written by bench-loader --tune; explicit options override them.",
    metavar="FILE",
)

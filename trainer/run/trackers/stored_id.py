"""The id of a tracker's run, kept in the run's directory: a resumed run continues there."""

import json
import re
from contextlib import suppress
from pathlib import Path

from pipeline.storage.plain_files import read_plain
from trainer.files import replace_text, resume_advice


class StoredId:
    """A file of `directory` that holds an id."""

    def __init__(self, directory: Path, name: str) -> None:
        self._path = directory / name

    def read(self) -> str | None:
        """The id; None if there is none, or if it isn't one that a tracker gives."""
        with suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
            text = json.loads(read_plain(self._path))["run_id"]
            return text if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text) else None
        return None

    def write(self, run_id: str) -> None:
        """Replace the id. Raises ``DataError`` if it can't be written."""
        text = json.dumps({"run_id": run_id}) + "\n"
        replace_text(self._path, text, resume_advice(self._path.parent))

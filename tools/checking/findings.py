"""What is wrong in a shard directory: one line each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from pipeline.storage.manifest import sample_key
from tools.text import plural

# The source of a row of a split's index, for people; None where it can't be told.
FindSource = Callable[[int], str | None]
# From so many on, and if half of the samples have them, findings become one.
_MANY = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """`text` is what is wrong with `file`; where it is one sample, `row` is its row in the split's
    index and `key` its key there."""

    file: str
    text: str
    row: int | None = None
    key: int | None = None

    def format(self, find_source: FindSource) -> str:
        if self.row is None or self.key is None:
            return f"{self.file}: {self.text}"
        source = find_source(self.row)
        origin = f" (from {source})" if source else ""
        return f"{self.file}: sample {sample_key(self.key)}{origin}: {self.text}"


def gathered(findings: Sequence[Finding], samples: int) -> Sequence[Finding]:
    """One finding instead of one for nearly each of `samples`."""
    if len(findings) < max(_MANY, samples / 2):
        return findings
    first = findings[0]
    text = f"{first.text}; so or otherwise wrong: {len(findings):,} of {plural(samples, 'sample')}"
    return [replace(first, text=text)]


@dataclass
class Report:
    """Says findings as they come, through `say`; from `limit` on it only counts them."""

    say: Callable[[str], None]
    limit: int
    count: int = 0
    files: set[str] = field(default_factory=set)

    def add(self, finding: Finding, find_source: FindSource = lambda row: None) -> None:
        if self.count < self.limit:
            self.say(finding.format(find_source))
        self.count += 1
        self.files.add(finding.file)

    def close(self) -> None:
        """Say how many findings were only counted."""
        if self.count > self.limit:
            self.say(f"... and {self.count - self.limit:,} more.")

"""Errors in a shard directory: one line for each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from pipeline.storage.manifest import sample_key
from pipeline.text import plural

# The source of a row of a split's index, for people; None if it is unknown.
FindSource = Callable[[int], str | None]
# From this many on, and if half of the samples have them, findings are merged into one.
_MANY = 5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """An error in `file`. If it is in one sample, `row` is the sample's row in the split's index
    and `key` its key there."""

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


def merge_findings(findings: Sequence[Finding], samples: int) -> Sequence[Finding]:
    """One finding in place of one for nearly each of `samples`."""
    if len(findings) < max(_MANY, samples / 2):
        return findings
    number = f"{len(findings):,} of {plural(samples, 'sample')} are wrong"
    return [replace(findings[0], text=f"{findings[0].text}; {number}, this one first")]


@dataclass
class Report:
    """Prints findings at once; from `limit` on it only counts them."""

    print: Callable[[str], None]
    limit: int
    count: int = 0
    files: set[str] = field(default_factory=set)

    def add(self, finding: Finding, find_source: FindSource = lambda row: None) -> None:
        if self.count < self.limit:
            self.print(finding.format(find_source))
        self.count += 1
        self.files.add(finding.file)

    def close(self) -> None:
        """Print how many findings were only counted."""
        if self.count > self.limit:
            self.print(f"... and {self.count - self.limit:,} more.")

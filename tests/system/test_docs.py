"""The pages say what is there: commands, links, sentences of errors."""

import ast
import re
import shlex
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tests.helpers import pages
from trainer.__main__ import main as train
from trainer.config import Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
RESULTS = sorted((ROOT / "benchmarks" / "results").rglob("*.md"))
PACKAGES = ("pipeline", "tools", "trainer", "benchmarks", "shardline")
TOOLS = {
    "tools/shard": "tools.cli",
    "tools/check": "tools.checking.cli",
    "tools/show": "tools.showing.cli",
}
# These take no more than a second on the digits.
QUICK = ("tools/check", "tools/show", "python -m pipeline.plan.audit")
VALUE = "…"

# test_readme.py runs the commands of these.
RUN = [ROOT / page for page in pages.PAGES]
OTHERS = [page.read_text() for page in PAGES if page not in RUN]
COMMANDS = [line for text in OTHERS for line in pages.commands(text)]


def parsed(line: str) -> tuple[click.Command, list[str]]:
    """The command that a line starts, and its arguments."""
    words = shlex.split(line, comments=True)
    if "-m" in words:  # python's or torchrun's
        place = words.index("-m") + 1
        module = f"{words[place]}.__main__" if words[place] == "trainer" else words[place]
    elif words[0] in TOOLS:
        place, module = 0, TOOLS[words[0]]
    else:
        (entry,) = entry_points(group="console_scripts", name=words[0])
        place, module = 0, entry.module
    found = import_module(module).main
    assert isinstance(found, click.Command)
    return found, words[place + 1 :]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_a_page_can_be_given(line: str) -> None:
    command, arguments = parsed(line)
    context = command.make_context(command.name, arguments)
    if command is train:
        Settings.from_options(**context.params)


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith(QUICK)])
def test_a_quick_command_of_a_page_runs(
    line: str, digits_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shards").symlink_to(digits_shards)
    monkeypatch.chdir(tmp_path)
    command, arguments = parsed(line)
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("page", [*PAGES, *RESULTS], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles]


def said() -> str:
    """All texts in the code, a line each, with VALUE where a value is put in."""
    texts = []
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else VALUE for p in node.values)
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_the_page_of_errors_quotes_what_the_code_says() -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    quoted = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    texts = said()
    assert len(quoted) > 20
    assert [sentence for sentence in quoted if sentence not in texts] == []


def test_the_map_names_every_folder() -> None:
    named = set(re.findall(r"^\| `(\w[\w/]*)/` \|", (ROOT / "docs" / "parts.md").read_text(), re.M))
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert named == {str(folder.relative_to(ROOT)) for folder in folders}

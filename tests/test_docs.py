"""The pages in docs/ say what is there: sentences of errors and commands."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("pipeline", "tools", "trainer", "benchmarks")
QUOTED = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
VALUE = "…"


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
    quoted = QUOTED.findall((ROOT / "docs" / "errors.md").read_text())
    texts = said()
    assert len(quoted) > 20
    assert [sentence for sentence in quoted if sentence not in texts] == []

"""The pages whose commands are run, and the commands in them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
# tests/system/test_docs.py parses the commands of all other pages.
PAGES = ["README.md", *(f"docs/{name}.md" for name in ("sharding", "training", "measuring"))]

# What a fresh clone begins with; whoever runs this test has done it. Kaggle needs an account.
SET_UP = ("make ", "python3 ", ". ", "pip ", "kaggle ")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[str]:
    """The lines of a page's blocks of shell, but for those that set up."""
    lines = "".join(blocks(text, "sh")).replace("\\\n", " ").splitlines()
    return [line for line in lines if not line.startswith(SET_UP)]

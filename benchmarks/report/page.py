"""A page: one HTML file, and Markdown with pictures."""

import html as html_text
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from benchmarks.report.panels import Panel, as_svg, write_png
from pipeline.errors import DataError
from pipeline.printable import printable

HTML_NAME, MARKDOWN_NAME = "report.html", "report.md"


@dataclass(frozen=True, kw_only=True)
class Table:
    """The first column names the row; the others are figures, aligned right, unless `words`."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: bool = False


def build_table(
    items: Iterable[Any], columns: Mapping[str, Callable[[Any], str]], *, words: bool = False
) -> Table:
    """A row for each of `items`, by `columns`: header -> text of an item."""
    rows = [[show(item) for show in columns.values()] for item in items]
    return Table(headers=list(columns), rows=rows, words=words)


@dataclass(frozen=True, kw_only=True)
class Section:
    """Panels, `notes` below them, and (caption, table) pairs."""

    title: str
    panels: Sequence[Panel] = ()
    tables: Sequence[tuple[str, Table]] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Page:
    """The first sentence; what was measured, where and when; the sections; and the inputs that are
    missing, None if there are none."""

    headline: str
    about: str
    sections: Sequence[Section]
    absent: str | None


def write_page(page: Page, folder: Path) -> tuple[Path, Path]:
    """Write the HTML file, the Markdown file and its pictures to `folder`, and return the paths of
    both files. Raises ``DataError`` if `folder` can't be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        html, markdown = folder / HTML_NAME, folder / MARKDOWN_NAME
        html.write_text(as_html(page), encoding="utf-8")
        for section in page.sections:
            for panel in section.panels:
                write_png(panel, folder)
        markdown.write_text(as_markdown(page), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{folder} can't be written ({error.strerror}).") from error
    return html, markdown


def as_html(page: Page) -> str:
    environment = Environment(
        loader=PackageLoader("benchmarks.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.filters["svg"] = lambda panel: Markup(as_svg(panel))
    environment.filters["code"] = _with_code
    return environment.get_template("report.html").render(page=page)


def _with_code(text: str) -> Markup:
    """Backticks become code elements."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", escape(printable(text))))


def as_markdown(page: Page) -> str:
    lines = [f"# {_plain(page.headline)}", "", _plain(page.about), ""]
    for section in page.sections:
        lines += [f"## {_plain(section.title)}", ""]
        for panel in section.panels:
            lines += [f"![{_plain(panel.description)}]({panel.name}.png)", ""]
        lines += [f"- {_plain(note)}" for note in section.notes]
        lines += [""] * bool(section.notes)
        for caption, table in section.tables:
            lines += [f"{_plain(caption)}:", "", *_markdown_table(table), ""]
    if page.absent:
        lines += [_plain(page.absent), ""]
    return "\n".join(lines)


def _markdown_table(table: Table) -> list[str]:
    align = ["---" if table.words else "---:"] * (len(table.headers) - 1)
    rows = (table.headers, ["---", *align], *table.rows)
    cells = ((_plain(cell).replace("|", "\\|") for cell in row) for row in rows)
    return [f"| {' | '.join(row)} |" for row in cells]


def _plain(text: str) -> str:
    """`text` in Markdown: no HTML, no links, no new lines. Backticks still mark code."""
    plain = html_text.escape(printable(text), quote=False).replace("\n", " ")
    return re.sub(r"([\[\]])", r"\\\1", plain)

"""A page: what it holds, as HTML in one file and as Markdown beside pictures."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from benchmarks.report.panels import Panel, as_svg, write_png
from pipeline.errors import DataError

HTML_NAME, MARKDOWN_NAME = "report.html", "report.md"


@dataclass(frozen=True, kw_only=True)
class Table:
    """The first column names the row; the others are figures, flushed right, unless `words`."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: bool = False


@dataclass(frozen=True, kw_only=True)
class Section:
    """`notes`: lines beneath its panels; `tables` go by their captions."""

    title: str
    panels: tuple[Panel, ...] = ()
    tables: tuple[tuple[str, Table], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Page:
    """`verdict` is the sentence that comes first, `about` says of what; `absent` names what the
    results don't say, None where all is there."""

    verdict: str
    about: str
    sections: tuple[Section, ...]
    absent: str | None


def write_page(page: Page, folder: Path) -> tuple[Path, Path]:
    """The HTML file and the Markdown file, in `folder`; the pictures of the latter beside it."""
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
    )
    environment.filters["svg"] = lambda panel: Markup(as_svg(panel))
    environment.filters["code"] = _with_code
    return environment.get_template("report.html").render(page=page)


def _with_code(text: str) -> Markup:
    """What stands between backticks is what one types."""
    parts = [Markup.escape(part) for part in text.split("`")]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else part
        for number, part in enumerate(parts)
    )


def as_markdown(page: Page) -> str:
    lines = [f"# {page.verdict}", "", page.about, ""]
    for section in page.sections:
        lines += [f"## {section.title}", ""]
        for panel in section.panels:
            lines += [f"![{panel.shows}]({panel.name}.png)", ""]
        for note in section.notes:
            lines += [f"- {note}"]
        lines += [""] * bool(section.notes)
        for caption, table in section.tables:
            lines += [f"{caption}:", "", *_markdown_table(table), ""]
    if page.absent:
        lines += [page.absent, ""]
    return "\n".join(lines)


def _markdown_table(table: Table) -> Iterable[str]:
    align = "---" if table.words else "---:"
    yield _markdown_row(table.headers)
    yield _markdown_row(("---", *(align for _ in table.headers[1:])))
    yield from map(_markdown_row, table.rows)


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

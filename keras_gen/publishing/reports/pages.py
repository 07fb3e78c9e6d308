"""Render the record of a report as Markdown or as a page of one HTML file, with the text of its template."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from keras_gen.publishing import cards
from keras_gen.publishing.reports import registry
from keras_gen.publishing.reports.record import ReportRecord, Table, dark_picture
from keras_gen.report import templating
from keras_gen.report.pages import data_uri, rendering
from keras_gen.utils.text import significant

if TYPE_CHECKING:
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token


def markdown(record: ReportRecord, folder: str = ".") -> str:
    """Return a report in Markdown, from its heading of the second level on.

    Args:
        record: ReportRecord.
        folder: str, folder of its pictures, from the page. Defaults to the page's own.
    """

    def picture(name: str, caption: str) -> str:
        return f"![{caption}]({folder}/{name}.png)\n\n*{caption}*" if name in record.pictures else ""

    text = (
        _environment()
        .get_template(f"{record.name.lower()}.md")
        .render(
            record.values,
            table=lambda name: _table(record.tables[name]),
            picture=picture,
        )
    )
    parts = [f"## {title(record)}", _summary(record), text.strip(), "### Trainings", _table(record.trainings)]
    return re.sub(r"\n{3,}", "\n\n", "\n\n".join(parts)) + "\n"


def html(record: ReportRecord, folder: Path) -> str:
    """Return a report as a page of one HTML file.

    Args:
        record: ReportRecord.
        folder: Path, folder of its pictures.
    """
    text = markdown(record)
    _, introduction, *rest = re.split(r"^##+ .*\n", text, flags=re.MULTILINE)
    headings = re.findall(r"^### (.*)$", text, flags=re.MULTILINE)
    to_html = _to_html(folder)
    sections = [(heading, to_html(part)) for heading, part in zip(headings, rest, strict=True)]
    return rendering.render(
        "reproduction.html", title=title(record), introduction=to_html(introduction), sections=sections
    )


def title(record: ReportRecord) -> str:
    """Return the title of a report's page."""
    return f"{record.name}: {registry.report(record.name).TITLE}"


def _summary(record: ReportRecord) -> str:
    what = (
        "This is the quick version, trained on digits: its numbers only show that everything runs. "
        if record.quick
        else ""
    )
    return f"{what}Training took {significant(record.minutes, 3)} minutes in all, on {record.machine}."


def _table(table: Table) -> str:
    return (f"{table.caption}:\n\n" if table.caption else "") + cards.table(table.header, table.rows)


def _to_html(folder: Path) -> Callable[[str], str]:
    """Return a function from Markdown to HTML that embeds the pictures of a folder."""
    from markdown_it import MarkdownIt

    def picture(renderer: RendererHTML, tokens: Sequence[Token], index: int, *rest: Any) -> str:
        attributes = tokens[index].attrs
        path = folder / Path(str(attributes["src"])).name
        attributes["src"] = data_uri.grid(path)
        dark, image = dark_picture(path), renderer.image(tokens, index, *rest)
        if not dark.is_file():
            return image
        media = "screen and (prefers-color-scheme: dark)"
        return f'<picture><source media="{media}" srcset="{data_uri.grid(dark)}">{image}</picture>'

    def table(renderer: RendererHTML, tokens: Sequence[Token], index: int, *rest: Any) -> str:
        return '<div class="scroll" role="region" aria-label="Table" tabindex="0"><table>\n'

    def table_end(renderer: RendererHTML, tokens: Sequence[Token], index: int, *rest: Any) -> str:
        return "</table></div>\n"

    def heading(renderer: RendererHTML, tokens: Sequence[Token], index: int, *rest: Any) -> str:
        tokens[index].attrSet("scope", "col")
        return renderer.renderToken(tokens, index, *rest)

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    rules = {"image": picture, "table_open": table, "table_close": table_end, "th_open": heading}
    for name, rule in rules.items():
        parser.add_render_rule(name, rule)
    return parser.render


@functools.cache
def _environment() -> jinja2.Environment:
    environment = templating.environment(__file__)
    environment.filters |= {"number": significant, "percent": lambda share: f"{100 * share:.0f} %"}
    return environment

"""Render the record of a report as Markdown or as a page of one HTML file, with the text of its template."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path

import jinja2

from keras_gen.publishing import cards, templating
from keras_gen.publishing.reports import registry
from keras_gen.publishing.reports.record import ReportRecord, Table
from keras_gen.report.pages import data_uri, rendering


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
    what = "The quick version, on digits: its numbers say only that it runs. " if record.quick else ""
    return f"{what}Training took {cards.number(record.minutes, 3)} minutes in all, on {record.machine}."


def _table(table: Table) -> str:
    return (f"{table.caption}:\n\n" if table.caption else "") + cards.table(table.header, table.rows)


def _to_html(folder: Path) -> Callable[[str], str]:
    """Return a function from Markdown to HTML that embeds the pictures of a folder."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")

    def embed(text: str) -> str:
        tokens = parser.parse(text)
        for token in (child for each in tokens for child in each.children or ()):
            if token.type == "image":
                token.attrs["src"] = data_uri.grid(folder / Path(str(token.attrs["src"])).name)
        return parser.renderer.render(tokens, parser.options, {})

    return embed


@functools.cache
def _environment() -> jinja2.Environment:
    environment = templating.environment(__file__)
    environment.filters |= {"number": cards.number, "percent": lambda share: f"{100 * share:.0f} %"}
    return environment

"""Build the HTML of the report pages: escaped text, tables, figures, and pages without network access or scripts."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

CONTENT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Content Security Policy of a page: only embedded pictures and styles; nothing is fetched and no script runs."""

_EMPTY_ELEMENTS = ("img", "source", "meta", "br")

_STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1b1b1b; --soft: #5a5a5a; --line: #d4d4d4; --panel: #f5f5f3;
  --link: #0b5394; --note: #fff4d6; --note-line: #b07d00; }
@media screen and (prefers-color-scheme: dark) {
  :root { --back: #17181a; --text: #e8e6e3; --soft: #a9a9a9; --line: #3d3f43; --panel: #212327; --link: #8ab8f0;
    --note: #352c14; --note-line: #d8a52a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem 1.25rem 4rem; max-width: 62rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0.5rem 0; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 0.6rem; padding-top: 0.6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.4rem 0 0.4rem; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.2rem 1rem; padding: 0; margin: 0.8rem 0; list-style: none; }
.soft, figcaption, caption { color: var(--soft); font-size: 0.9rem; }
.notice { background: var(--note); border-left: 4px solid var(--note-line); padding: 0.5rem 0.9rem; margin: 0.8rem 0; }
.scroll { overflow-x: auto; margin: 0.6rem 0; }
table { border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: 0.3rem; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 0.8rem 0.25rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: normal; }
thead th, thead + tbody th { white-space: nowrap; }
tbody th { font-weight: 500; }
th code, td code.whole { white-space: nowrap; }
.properties td { overflow-wrap: anywhere; }
.properties caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 0.86rem; }
pre { background: var(--panel); padding: 0.7rem 0.9rem; overflow-x: auto; line-height: 1.25; overflow-wrap: normal; }
details { background: var(--panel); padding: 0.4rem 0.9rem; margin: 0.7rem 0; }
summary { cursor: pointer; font-weight: 500; }
figure { margin: 0.8rem 0; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: 3px; }
figure.wide img { width: 100%; max-width: 52rem; }
figure.pixels img { image-rendering: pixelated; width: 100%; max-width: 36rem; }
figure.sheet { overflow-x: auto; }
figure.sheet img { max-width: max(100%, 36rem); }
.side { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); gap: 0 1.2rem; }
.rows figure { margin: 0.3rem 0; }
@media print { :root { color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 10pt; background: #fff; color: #000; }
  nav { display: none; } figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .scroll, pre { overflow: visible; white-space: pre-wrap; } }
"""


class Markup(str):
    """A string of HTML. Every other string is text and is escaped when it is inserted into a page."""


def escaped(content: object) -> Markup:
    """Return `content` as HTML: unchanged if it is `Markup`, else as text with `<`, `>`, `&` and quotes escaped.

    Example:
        >>> escaped("<script>")
        '&lt;script&gt;'
    """
    return content if isinstance(content, Markup) else Markup(html.escape(str(content)))


def element(tag: str, *content: object, **attributes: object) -> Markup:
    """Return an HTML element; text in it and in its attributes is escaped.

    Args:
        tag: str, name of the element.
        content: children in order; `Markup` is inserted as is, anything else as text.
        attributes: attributes by name, with `_` for `-`; a trailing `_` is removed (`class_`). None omits an attribute,
            True writes it without a value.

    Example:
        >>> element("p", "a < b", class_="soft")
        '<p class="soft">a &lt; b</p>'
    """
    parts = [tag]
    for name, value in attributes.items():
        name = name.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(name)
        elif value is not None:
            parts.append(f'{name}="{escaped(value)}"')
    start = f"<{' '.join(parts)}>"
    if tag in _EMPTY_ELEMENTS:
        return Markup(start)
    return Markup(f"{start}{joined(content)}</{tag}>")


def joined(parts: Iterable[object]) -> Markup:
    """Concatenate parts, each passed through `escaped`."""
    return Markup("".join(map(escaped, parts)))


def section(heading: str, *content: object) -> Markup:
    """Return a section of a page, whose heading has the id `anchor(heading)`."""
    name = anchor(heading)
    return Markup(f"{element('section', element('h2', heading, id=name), *content, aria_labelledby=name)}\n")


def anchor(heading: str) -> str:
    """Return the id of a section, for links to it.

    Example:
        >>> anchor("Time and machine")
        'time-and-machine'
    """
    return "-".join("".join(letter if letter.isalnum() else " " for letter in heading.lower()).split())


def notice(*content: object) -> Markup:
    """Return a highlighted paragraph."""
    return element("p", *content, class_="notice", role="note")


def details(summary: str, *content: object) -> Markup:
    """Return a collapsed block that opens when its summary is clicked or activated with the keyboard."""
    return element("details", element("summary", summary), *content)


def table(caption: str, header: Sequence[object], rows: Iterable[Sequence[object]]) -> Markup:
    """Return a table whose first column contains row headers; it scrolls horizontally on narrow screens.

    Args:
        caption: str, caption of the table.
        header: column names.
        rows: iterable of rows, each with one cell per column.
    """
    head = element("tr", *(element("th", name, scope="col") for name in header))
    body = [
        element("tr", element("th", row[0], scope="row"), *(element("td", cell) for cell in row[1:])) for row in rows
    ]
    whole = element("table", element("caption", caption), element("thead", head), element("tbody", joined(body)))
    return element("div", whole, class_="scroll", role="region", aria_label=caption, tabindex="0")


def properties(caption: str, rows: Iterable[tuple[object, object]]) -> Markup:
    """Return a table of names and values; its caption repeats the heading and is for screen readers only."""
    body = [element("tr", element("th", name, scope="row"), element("td", value)) for name, value in rows]
    whole = element("table", element("caption", caption), element("tbody", joined(body)), class_="properties")
    return element("div", whole, class_="scroll")


def figure(
    picture: str, alternative: str, caption: str = "", *, narrow: str | None = None, kind: str | None = None
) -> Markup:
    """Return a picture with its caption.

    Args:
        picture: str, data URI of the picture.
        alternative: str, alternative text for screen readers.
        caption: str, text below the picture; default none.
        narrow: str, data URI of another version for narrow screens such as a phone's; default None.
        kind: `wide`, as wide as the page; `pixels`, enlarged without smoothing; `sheet`, in its own size, scrolled
            horizontally on a narrow screen; None, in its own size but not wider than the screen.
    """
    shown = element("img", src=picture, alt=alternative)
    if narrow is not None:
        shown = element("picture", element("source", media="(max-width: 36rem)", srcset=narrow), shown)
    return element(
        "figure",
        shown,
        element("figcaption", caption) if caption else "",
        class_=kind,
        tabindex="0" if kind == "sheet" else None,
    )


def page(title: str, introduction: Markup, sections: Sequence[tuple[str, Markup]]) -> str:
    """Return a complete HTML file, with links to its sections at the top.

    Args:
        title: str, title and first heading of the page.
        introduction: content before the sections.
        sections: sequence of (heading, content).

    Example:
        >>> text = page("<script>", Markup(""), [("Losses", element("p", "none"))])
        >>> text.count("<script>"), '<h2 id="losses">Losses</h2><p>none</p>' in text
        (0, True)
    """
    head = joined(
        [
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=CONTENT_POLICY),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("title", title),
            element("style", Markup(_STYLE)),
        ]
    )
    links = [element("li", element("a", heading, href=f"#{anchor(heading)}")) for heading, _ in sections]
    body = joined(
        [
            element(
                "header",
                element("h1", title),
                introduction,
                element("nav", element("ul", joined(links)), aria_label="Sections"),
            ),
            element("main", Markup("\n"), joined(section(heading, content) for heading, content in sections)),
        ]
    )
    return f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}</head>\n<body>{body}</body>\n</html>\n'

"""Render the report pages: Jinja2 templates and their style in `templates/`."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import jinja2

from keras_gen.evaluation.score import DIRECTION
from keras_gen.report import templating
from keras_gen.report.pages import data_uri
from keras_gen.report.run_files import RunFiles
from keras_gen.utils.errors import UsageError
from keras_gen.utils.text import number


@dataclass(frozen=True)
class Picture:
    """A picture of a page, or the reason why it is missing.

    Args:
        uri: str, data URI.
        alternative: str, alternative text for screen readers.
        caption: str, text below the picture; default none.
        narrow: str, data URI of another version for narrow screens such as a phone's; default none.
        dark: str, data URI of another version for dark screens; default none.
        is_plot: bool, whether it is a plot of lines, which is inverted on a dark screen; default False.
        problem: str, why the picture is missing; default none.
    """

    uri: str = ""
    alternative: str = ""
    caption: str = ""
    narrow: str = ""
    dark: str = ""
    is_plot: bool = False
    problem: str = ""


def render(template: str, **context: object) -> str:
    """Return a template filled with values, in which every text is escaped; an undefined name is an error.

    Example:
        >>> text = render("page.html", title="<script>", headings=["Losses"])
        >>> "<script>" in text, '<a href="#losses">Losses</a>' in text
        (False, True)
    """
    return _environment().get_template(template).render(context)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = templating.environment(__file__, autoescape=True)
    environment.filters |= {"anchor": lambda heading: heading.lower().replace(" ", "-"), "number": number}
    environment.filters["direction"] = DIRECTION.get
    return environment


def grid(run: RunFiles, picture: tuple[int, Path], caption: str, rows: int | None = None) -> Picture:
    """Return an image grid that a run saved, given as (epoch, file): all of it, or its first rows of images."""
    epoch, path = picture
    try:
        uri = data_uri.grid(path, run.image_height, rows)
    except UsageError as error:
        return Picture(problem=str(error))
    alternative = f"A grid of images of {run.model} after epoch {epoch} of training on {run.data_name}"
    return Picture(uri, alternative, caption)

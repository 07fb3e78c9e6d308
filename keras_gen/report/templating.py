"""The environment of the HTML and Markdown templates."""

from __future__ import annotations

from pathlib import Path

import jinja2


def environment(module: str, *, autoescape: bool = False) -> jinja2.Environment:
    """Return an environment for the templates in the folder `templates` beside a module; undefined names are errors.

    Args:
        module: str, file of the module.
        autoescape: bool, escape every text for HTML. Defaults to False.
    """
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(module).parent / "templates"),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

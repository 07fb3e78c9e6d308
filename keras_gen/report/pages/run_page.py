"""Write the report page of a run: one HTML file with embedded figures, without network access or scripts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keras_gen.report import run_files
from keras_gen.report.pages import data_uri, html, sections
from keras_gen.report.pages.html import Markup, element
from keras_gen.report.run_files import RunFiles
from keras_gen.utils import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPORT_FILE = "report.html"


@dataclass(frozen=True)
class PageFigure:
    """A figure of a page with its heading, or the reason why it is missing.

    Args:
        heading: str, heading of the figure.
        figure: a matplotlib figure; None if it could not be drawn.
        words: str, description of the figure in a sentence or two, or the reason why it is missing.
    """

    heading: str
    figure: Figure | None
    words: str


def run_page(run: RunFiles, latents: Sequence[PageFigure] = ()) -> str:
    """Return the page of a run as HTML: data, settings, time, curves, images, scores, networks and commands.

    Args:
        run: a run as `run_files.read` returns it; sections state what is missing.
        latents: figures that need the model, of latents and generated images; without them the page states the command
            that adds them.

    Example:
        >>> from keras_gen.utils import files
        >>> Path("run").mkdir()
        >>> files.write_json("run/recipe.json", {"settings": {"model": "vae-mlp", "epochs": 50}})
        >>> text = run_page(run_files.read("run"))
        >>> text[:15], "<script" in text
        ('<!DOCTYPE html>', False)
    """
    done, requested = run.epochs
    epochs = f"{done}" if requested in (None, done) else f"{done} of {requested}"
    title = f"{run.model} on {run.data_name}, {epochs} {'epoch' if epochs == '1' else 'epochs'}"
    subtitle = f"Run {run.name}, seed {run.part('settings').get('seed', 'not recorded')}"
    introduction = html.joined([element("p", subtitle, class_="soft"), sections.notices(run)])
    parts = [
        ("Recipe and data", sections.data(run)),
        ("Settings", sections.settings(run)),
        ("Time and machine", sections.time_and_machine(run)),
        ("Losses", sections.losses(run)),
        ("Scores during training", sections.metrics(run)),
    ]
    if run.samples or not run.reconstructions:
        parts.append(("Samples", sections.samples(run)))
    if run.reconstructions:
        parts.append(("Reconstructions", sections.reconstructions(run)))
    parts += [
        ("Latents and images", _latents(run, latents)),
        ("Scores", sections.scores(run)),
        ("Model", sections.model(run)),
        ("Next steps", sections.next_steps(run)),
    ]
    return html.page(title, introduction, parts)


def write(run: str | os.PathLike, latents: Sequence[PageFigure] = (), out: str | os.PathLike | None = None) -> Path:
    """Write the page of a run, and return its path.

    Args:
        run: path of a run directory.
        latents: as in `run_page`.
        out: file to write; default `report.html` in the run directory.

    Raises:
        UsageError: if `run` is not a run directory, or its `recipe.json` is damaged.
        OSError: if the file can't be written.
    """
    path = Path(run) / REPORT_FILE if out is None else Path(out)
    files.write_text(path, run_page(run_files.read(run), latents))
    return path


def write_or_note(run: str | os.PathLike) -> None:
    """Write the page of a run without figures that need the model; on failure print one line and do not raise."""
    try:
        path = write(run)
    except Exception as error:
        line = " ".join(str(error).split()) or type(error).__name__
        print(f"NOTE: {Path(run) / REPORT_FILE} was not written: {line}", flush=True)
    else:
        print(f"report: {path}", flush=True)


def _latents(run: RunFiles, latents: Sequence[PageFigure]) -> Markup:
    if not latents:
        command = element("code", sections.command("report.py", run.path))
        return element("p", "Add figures that need the model, such as those of its latents, with ", command)
    parts = []
    for page_figure in latents:
        parts.append(element("h3", page_figure.heading))
        if page_figure.figure is None:
            parts.append(html.notice(f"Not shown: {page_figure.words}"))
        else:
            uri = data_uri.png(page_figure.figure)
            alternative = f"{page_figure.heading}. {page_figure.words}"
            parts.append(html.figure(uri, alternative, page_figure.words, kind="sheet"))
    return html.joined(parts)

"""The report page of a run: one HTML file with all figures in it, to be read without network and without script."""

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
    """A figure that a page shows under a heading of its own, or why there is none.

    Args:
        heading: of the figure.
        figure: a matplotlib figure; None if it could not be made.
        words: what it shows, in a sentence or two; or why there is none.
    """

    heading: str
    figure: Figure | None
    words: str


def run_page(run: RunFiles, latents: Sequence[PageFigure] = ()) -> str:
    """The page of a run as HTML: data, settings, time, curves, images, scores, networks and commands.

    Args:
        run: as `run_files.read` returns it; what it lacks, its section says.
        latents: figures of the model's latents and images, which need the model; without them the page says how they
            are made.

    Example:
        >>> Path("run").mkdir()
        >>> runs.write_json("run/recipe.json", {"settings": {"model": "vae-mlp", "epochs": 50}})
        >>> text = run_page(run_files.read("run"))
        >>> text[:15], "<script" in text
        ('<!DOCTYPE html>', False)
    """
    done, asked = run.epochs
    epochs = f"{done}" if asked in (None, done) else f"{done} of {asked}"
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
        ("How to go on", sections.resume_command(run)),
    ]
    return html.page(title, introduction, parts)


def write(run: str | os.PathLike, latents: Sequence[PageFigure] = (), out: str | os.PathLike | None = None) -> Path:
    """Write a run's page, and return where it is.

    Args:
        run: run directory.
        latents: as in `run_page`.
        out: the file; by default `report.html` in the run directory.

    Raises:
        UsageError: `run` is no run directory, or its `recipe.json` is damaged.
        OSError: the file can't be written.
    """
    path = Path(run) / REPORT_FILE if out is None else Path(out)
    files.write_text(path, run_page(run_files.read(run), latents))
    return path


def write_or_note(run: str | os.PathLike) -> None:
    """Write a run's page without what needs the model; if that fails, a line says why, and the run goes on."""
    try:
        path = write(run)
    except Exception as error:
        line = " ".join(str(error).split()) or type(error).__name__
        print(f"NOTE: {Path(run) / REPORT_FILE} was not written: {line}", flush=True)
    else:
        print(f"report: {path}", flush=True)


def _latents(run: RunFiles, latents: Sequence[PageFigure]) -> Markup:
    if not latents:
        how = element("code", sections.command("report.py", run.path))
        return element("p", "Figures that need the model, of its latents among them, are added by ", how)
    parts = []
    for illustration in latents:
        parts.append(element("h3", illustration.heading))
        if illustration.figure is None:
            parts.append(html.notice(f"Not shown: {illustration.words}"))
        else:
            uri = data_uri.png(illustration.figure)
            alternative = f"{illustration.heading}. {illustration.words}"
            parts.append(html.figure(uri, alternative, illustration.words, kind="sheet"))
    return html.joined(parts)

"""Write the report page of a run: one HTML file with embedded figures, without network access or scripts."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_gen.evaluation import protocol
from keras_gen.evaluation.score import DIRECTION, of_generated
from keras_gen.report import history_columns, run_files
from keras_gen.report.figures import curves
from keras_gen.report.pages import data_uri, rendering
from keras_gen.report.pages.rendering import Picture
from keras_gen.report.run_files import RunFiles
from keras_gen.runs import hints
from keras_gen.runs.settings import RESOLVED_BY_RUN, RunSettings
from keras_gen.utils.command_lines import command, started_as
from keras_gen.utils import files
from keras_gen.utils.errors import one_line
from keras_gen.utils.progress import print_line
from keras_gen.utils.text import counted, duration, number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPORT_FILE = "report.html"

WITHOUT_FIGURES = "<!-- without figures of the model -->"
"""What tells a page without figures of the model from others."""

MAX_EPOCHS = 6
"""Maximum number of epochs whose image grids are shown below one another."""


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
    """
    done, requested = run.epochs
    epochs = counted(done, "epoch") if requested in (None, done) else f"{done} of {requested} epochs"
    given = run.part("settings") | run.part("arguments")
    report_command = hints.report(run.path) if all(figure.figure is None for figure in latents) else None
    recorded_notes = run.part("data").get("notes")
    return rendering.render(
        "run.html",
        run=run,
        title=f"{run.model} on {run.data_name}, {epochs}",
        notices=_notices(run),
        headline=_headline(run),
        data=_data(run),
        data_notes=recorded_notes if isinstance(recorded_notes, list) else [],
        changed=[[name, *map(str, values)] for name, values in changed_settings(run).items()],
        settings=[(name, str(value)) for name, value in given.items() if name != "overrides"],
        time_and_machine=_time_and_machine(run),
        latents=[(figure.heading, _latent_picture(figure)) for figure in latents],
        without_figures=WITHOUT_FIGURES,
        report_command=report_command,
        next_steps=_next_steps(run, report_command),
        **_losses(run),
        **_training_scores(run),
        **_grids(run),
        **_protocols(run),
    )


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


def write_or_note(run: str | os.PathLike, writer: Callable | None = None) -> None:
    """Write the page of a run, by default without figures of its model; on failure print a line and do not raise."""
    try:
        path = (writer or write)(run)
    except Exception as error:
        print_line(f"NOTE: {Path(run) / REPORT_FILE} was not written: {one_line(error)}")
    else:
        print_line(f"report: {path}")


def changed_settings(run: RunFiles) -> dict[str, tuple[object, object]]:
    """Return the settings and arguments that differ from the recipe's defaults, as name to (value, default)."""
    if run.settings is None:
        return {}
    default = RunSettings(run.settings.model, dataset=run.settings.dataset)  # on which the batch size depends
    requested = run.part("data").get("requested")
    changed = {} if requested is None else {"dataset": (requested, default.recipe.dataset)}
    left_out = {*RESOLVED_BY_RUN, "overrides"}
    for name in ("image_size", "binarize", "validation"):  # the recipe has them for its own data only
        if getattr(run.settings, name) in (None, getattr(default.recipe, name)):
            left_out.add(name)
    values, defaults = (settings.to_json() | settings.arguments() for settings in (run.settings, default))
    different = {name: (value, defaults[name]) for name, value in values.items() if value != defaults[name]}
    return changed | {name: pair for name, pair in different.items() if name not in left_out}


def _notices(run: RunFiles) -> list[tuple[str, str]]:
    """Return warnings, each with a command or an empty string.

    They are of other data, an unfinished run, an early end and values that are not finite.
    """
    notices = []
    if reason := run.part("data").get("substituted_because"):
        intended = f" instead of {run.settings.recipe.dataset}" if run.settings else ""
        notices.append((f"Trained on {run.data_name}{intended}: {reason}", ""))
    done, requested = run.epochs
    if requested is not None and done < requested:
        text = f"Not finished: {done} of {requested} epochs are done. Resume with"
        notices.append((text, hints.resume(run.path)))
    if run.early_end:
        notices.append((f"Ended early, {run.early_end}", ""))
    if not_finite := [name for name, value in run.last.items() if not math.isfinite(value)]:
        notices.append((f"Not finite after the last epoch: {', '.join(not_finite)}. The training diverged.", ""))
    return notices


def _headline(run: RunFiles) -> dict[str, object] | None:
    """Return name and value of the run's first score of generated images, or of its last loss, and what they are."""
    scores = run.evaluation.scores if run.evaluation else []
    for score in of_generated(scores):
        spread = "" if score.spread is None else f"± {score.spread:.2g}; "
        floor = "" if score.floor is None else f"; the same number of real images has {number(score.floor)}"
        better = f"{DIRECTION[score.better]} is better, " if score.better else ""
        words = f"{spread}{better}{number(score.protocol['generated'])} generated images{floor}"
        return {"name": score.name, "value": score.value, "words": words}
    names = history_columns.score_names(run.history)
    for row in reversed(run.history):
        for name in (each for each in names if row.get(each) is not None):
            count = row.get(name + history_columns.COUNT_ENDING)
            images = "" if count is None else f"{count:,.0f} generated images"
            words = ", ".join(filter(None, (f"after epoch {row['epoch']}", history_columns.better(name), images)))
            words += "; not evaluated yet" if run.evaluation is None else ""
            return {"name": name, "value": row[name], "words": words}
    for name in ("val_loss", "loss"):
        if name in run.last:
            return {"name": name, "value": run.last[name], "words": f"after epoch {run.last['epoch']}, lower is better"}
    return None


def _data(run: RunFiles) -> list[tuple[str, object]]:
    record = run.part("data")
    rows = [("recipe", run.model)]
    if run.settings is not None:
        recipe = run.settings.recipe
        rows += [("description", f"{recipe.summary} ({recipe.source})"), ("data of the recipe", recipe.dataset)]
    rows += [("data", run.data_name), ("source", record.get("source", "not recorded"))]
    if isinstance(counts := record.get("counts"), dict):
        rows.append(("images", ", ".join(f"{number(count)} {role}" for role, count in counts.items())))
    if isinstance(shape := record.get("image_shape"), list):
        rows.append(("image shape", f"{'×'.join(map(str, shape))} (height, width, channels)"))
    rows += [(name, record[name]) for name in ("crop", "binarize") if record.get(name) is not None]
    return [*rows, ("fingerprint (SHA-256)", record.get("fingerprint", "not recorded"))]


def _time_and_machine(run: RunFiles) -> list[tuple[str, object]]:
    rows, seconds = [("training time", "no epoch is finished yet")], run.seconds
    if seconds:
        low, middle, high = (duration(value) for value in (min(seconds), statistics.median(seconds), max(seconds)))
        rows = [("training time", f"{duration(sum(seconds))}, {counted(len(seconds), 'epoch')}")]
        rows.append(("time per epoch", middle if len(seconds) == 1 else f"{middle} (median; {low} to {high})"))
    column = run.settings.keep_best if run.settings else None
    if values := {row["epoch"]: row[column] for row in run.history if math.isfinite(row.get(column, math.nan))}:
        rows.append(("weights", f"of epoch {min(values, key=values.get)}, the one with the lowest {column}"))
    rows.append(("started", run.record.get("created", "not recorded")))
    rows.append(("machine", _machine(run.record.get("machine"))))
    versions = ", ".join(f"{name} {version}" for name, version in run.part("versions").items())
    rows.append(("versions", versions or "not recorded"))
    if isinstance(words := run.record.get("command"), list):
        rows.append(("command", started_as(list(map(str, words)))))
    return rows


def _machine(recorded: object) -> str:
    """Return the machine in one line; older runs recorded such a line."""
    if not isinstance(recorded, dict):
        return str(recorded or "not recorded")
    gpus = recorded.get("gpus") or ["no GPU"]
    words = [recorded.get("processor"), f"{recorded.get('cores')} cores", *gpus, recorded.get("system")]
    if recorded.get("replicas", 1) != 1:
        words.append(f"trained on {recorded['replicas']} devices")
    return ", ".join(map(str, words))


def _losses(run: RunFiles) -> dict[str, object]:
    names = history_columns.loss_names(run.history)
    if not names:
        return {"losses": []}

    def draw(columns):
        return data_uri.svg(curves.loss_curves(run.history, "", scores=False, columns=columns))

    epochs = counted(len(run.history), "epoch")
    alternative = f"Curves of {', '.join(names)} over {epochs}; the last values are in the table of losses"
    units = [history_columns.unit(name, names, run.history) for name in names]
    rows = [(name, run.last.get(name), run.last.get(f"val_{name}"), unit) for name, unit in zip(names, units)]
    return {"losses": rows, "loss_curves": Picture(draw(2), alternative, narrow=draw(1), is_plot=True)}


def _training_scores(run: RunFiles) -> dict[str, object]:
    names = history_columns.score_names(run.history)
    if not names:
        return {"score_names": []}
    measured = [row for row in run.history if any(row.get(name) is not None for name in names)]
    picture = Picture(
        data_uri.svg(curves.metric_curves(run.history, "", columns=2)),
        f"Curves of {', '.join(names)}; the values are in the table below",
        "Measured during training on the number of images in the legend; the final scores have other protocols.",
        is_plot=True,
    )
    rows = [(row["epoch"], *(row.get(name) for name in names)) for row in measured]
    return {"score_names": names, "score_curves": picture, "training_scores": rows}


def _grids(run: RunFiles) -> dict[str, tuple[Picture | None, list[Picture]] | None]:
    """Return samples and reconstructions: the whole last grid, and the first rows of images of several epochs."""
    denoises = run.part("arguments").get("corruption", "none") != "none"
    content = "images, noisy inputs and reconstructions" if denoises else "images above their reconstructions"
    captions = {
        "samples": ("Images generated after epoch {}", 1),
        "reconstructions": (f"After epoch {{}}: {content}", 3 if denoises else 2),
    }
    grids = {}
    for name, (caption, rows) in captions.items():
        saved = getattr(run, name)
        places = np.linspace(0, len(saved) - 1, min(len(saved), MAX_EPOCHS)).round().astype(int)
        chosen = [saved[place] for place in places] if len(saved) > 1 else []
        through_training = [rendering.grid(run, item, f"epoch {item[0]}", rows) for item in chosen]
        whole = rendering.grid(run, saved[-1], caption.format(saved[-1][0])) if saved else None
        grids[name] = (whole, through_training) if saved else None
    return grids


def _latent_picture(figure: PageFigure) -> Picture:
    if figure.figure is None:
        return Picture(problem=f"Not shown: {figure.words}")
    light, dark = data_uri.png(figure.figure), data_uri.dark_png(figure.figure)
    return Picture(light, f"{figure.heading}. {figure.words}", figure.words, dark=dark)


def _protocols(run: RunFiles) -> dict[str, list[tuple]]:
    """Return the entries that all scores of generated images have in common, and the other entries of each score."""
    scores = run.evaluation.scores if run.evaluation else []
    common = protocol.common([score.protocol for score in of_generated(scores)])
    own = []
    for score in scores:
        entries = {name: number(value) for name, value in score.protocol.items() if common.get(name, ...) != value}
        own.append((score.name, "; ".join(f"{name}: {value}" for name, value in entries.items())))
    return {"protocol": list(common.items()), "own_protocols": own}


def _next_steps(run: RunFiles, report_command: str | None) -> dict[str, str]:
    """Return the commands that can be applied to the run, by what they do."""
    done, requested = run.epochs
    is_finished = requested is not None and done >= requested
    steps = {
        "resume training": hints.resume(run.path, *(["--epochs", 2 * requested] if is_finished else [])),
        "generate images": command("sample", run.path) if run.samples and is_finished else None,
        "evaluate": hints.evaluate(run.path),
        "add figures of the latents to this page": report_command,
    }
    return {what: step for what, step in steps.items() if step is not None}

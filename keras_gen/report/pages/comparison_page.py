"""Write a page that compares several runs: settings that differ, losses, curves, scores and samples side by side."""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from keras_gen.evaluation import comparison
from keras_gen.report import history_columns, run_files
from keras_gen.report.figures import style
from keras_gen.report.pages import data_uri, html, sections
from keras_gen.report.pages.html import Markup, element
from keras_gen.report.pages.sections import number
from keras_gen.report.run_files import RunFiles
from keras_gen.utils import files
from keras_gen.utils.errors import UsageError, must_be

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_GRIDS = 24
"""Maximum number of runs whose last samples are shown, the first ones."""

_COLUMNS, _PANEL_WIDTH, _PANEL_HEIGHT, _LEGEND_LINE = 2, 3.6, 2.7, 0.2
"""Number of panels side by side; sizes in inches of a panel and of a line of the legend."""

# Paths do not explain different results; overrides are listed as arguments.
_IGNORED_SETTINGS = ("overrides", "data_dir", "extractor_weights")


def write(paths: Sequence[str | os.PathLike], out: str | os.PathLike, ignore: Sequence[str] = ()) -> Path:
    """Write the page that compares runs, and return its path.

    Args:
        paths: sequence of at least one run directory, without duplicates.
        out: file to write.
        ignore: protocol entries in which ranked scores may differ, as in `comparison.compare`; default none.

    Raises:
        UsageError: if a path is not a run directory or given twice, a `recipe.json` is damaged, or a name in `ignore`
            is not in any protocol.
        OSError: if the file can't be written.
    """
    if not paths or len({Path(path).resolve() for path in paths}) < len(paths):
        raise must_be("runs", "different run directories, at least one", [str(path) for path in paths])
    files.write_text(out, comparison_page([run_files.read(path) for path in paths], ignore))
    return Path(out)


def comparison_page(compared: Sequence[RunFiles], ignore: Sequence[str] = ()) -> str:
    """Return the page that compares runs as HTML.

    Args:
        compared: sequence of at least one run as `run_files.read` returns it.
        ignore: as in `write`.

    Raises:
        UsageError: if a name in `ignore` is not in any protocol.

    Example:
        >>> for name in ("a", "b"):
        ...     Path(name).mkdir()
        ...     files.write_json(f"{name}/recipe.json", {"settings": {"model": "vae-mlp"}})
        >>> "<h1>2 runs compared</h1>" in comparison_page([run_files.read("a"), run_files.read("b")])
        True
    """
    names = labels(compared)
    parts = [("Runs", _runs(compared, names)), ("Settings that differ", _settings(compared, names))]
    parts.append(("Last losses", _losses(compared, names)))
    if groups := seed_groups(compared):
        parts.append(("Means over seeds", _over_seeds(compared, groups, names)))
    parts += [
        ("Scores", _scores(compared, names, ignore)),
        ("Curves", _curves(compared, names)),
        ("Last samples", _samples(compared, names)),
    ]
    title = "1 run" if len(compared) == 1 else f"{len(compared)} runs compared"
    return html.page(title, _notices(compared, names), parts)


def labels(compared: Sequence[RunFiles]) -> list[str]:
    """Return a label per run: the name of its directory, or the paths if two directories have the same name."""
    names = [run.name for run in compared]
    return names if len(set(names)) == len(names) else [str(run.path) for run in compared]


def differences(compared: Sequence[RunFiles]) -> dict[str, list]:
    """Return the settings, arguments and data that differ, as name to one value per run (None if it has none).

    Example:
        >>> for name, epochs in (("short", 5), ("long", 50)):
        ...     Path(name).mkdir()
        ...     files.write_json(f"{name}/recipe.json", {"settings": {"model": "vae-mlp", "epochs": epochs}})
        >>> differences([run_files.read("long"), run_files.read("short")])
        {'epochs': [50, 5]}
    """
    descriptions = [_description(run) for run in compared]
    names = dict.fromkeys(name for values in descriptions for name in values)
    by_name = {name: [values.get(name) for values in descriptions] for name in names}
    return {name: values for name, values in by_name.items() if any(value != values[0] for value in values)}


def seed_groups(compared: Sequence[RunFiles]) -> list[list[int]]:
    """Return groups of two or more runs that differ only in the seed, as lists of indices."""
    groups: dict[str, list[int]] = {}
    for index, run in enumerate(compared):
        values = {name: value for name, value in _description(run).items() if name != "seed"}
        groups.setdefault(json.dumps(values, sort_keys=True, default=str), []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def loss_figure(histories: Sequence[tuple[str, history_columns.Rows]], columns: int = _COLUMNS) -> Figure:
    """Draw losses and scores of several runs, one panel per quantity, one color and marker per run.

    Training is solid, validation dashed; a non-finite value is a gap.

    Args:
        histories: sequence of (name, rows) with at least one run, rows as `history_columns.check_history` returns them.
        columns: int, maximum number of panels side by side; default 2.

    Returns:
        A matplotlib figure, unknown to pyplot, with the legend below the panels.

    Raises:
        UsageError: if no history has a quantity to draw.

    Example:
        >>> rows = [{"epoch": 1, "loss": 3.0}, {"epoch": 2, "loss": 2.0}]
        >>> [axes.get_title() for axes in loss_figure([("a", rows), ("b", rows)]).axes]
        ['loss']
    """
    losses = dict.fromkeys(name for _, rows in histories for name in history_columns.loss_names(rows))
    scores = dict.fromkeys(name for _, rows in histories for name in history_columns.score_names(rows))
    names = [*losses, *scores]
    if not names:
        raise UsageError("histories must have a quantity to draw, received: none")
    columns = min(columns, len(names))
    panel_rows, lines = math.ceil(len(names) / columns), len(histories) + 1
    height = _PANEL_HEIGHT * panel_rows + _LEGEND_LINE * (lines / columns + 1)
    figure = style.new_figure(_PANEL_WIDTH * columns, height)
    for place, name in enumerate(names):
        axes = figure.add_subplot(panel_rows, columns, place + 1)
        style.describe(axes, name, "epoch", _unit(name, histories) if name in losses else history_columns.better(name))
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(alpha=0.3)
        for index, (_, rows) in enumerate(histories):
            _draw(axes, rows, name, index)
    _legend(figure, [name for name, _ in histories], columns)
    return figure


def _draw(axes, rows: history_columns.Rows, name: str, index: int) -> None:
    color, marker = style.class_style(index % style.MAX_CLASSES)
    for column, dashes in ((name, "-"), (f"val_{name}", "--")):
        points = [(row["epoch"], row[column]) for row in rows if row.get(column) is not None]
        if points:
            epochs, values = zip(*points, strict=True)
            finite = [value if math.isfinite(value) else math.nan for value in values]
            every = max(1, len(points) // 5)  # enough markers to distinguish runs without colors
            axes.plot(epochs, finite, dashes, color=color, marker=marker, markevery=every, markersize=4, linewidth=1.3)


def _legend(figure: Figure, names: Sequence[str], columns: int) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for index, name in enumerate(names):
        color, marker = style.class_style(index % style.MAX_CLASSES)
        text = name.replace("$", r"\$")  # a dollar sign would begin a formula
        handles.append(Line2D([], [], color=color, marker=marker, markersize=4, label=text))
    for dashes, kind in (("-", "training, or score"), ("--", "validation")):
        handles.append(Line2D([], [], color="0.4", linestyle=dashes, label=kind))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=style.SMALL_SIZE)


def _unit(name: str, histories: Sequence[tuple[str, history_columns.Rows]]) -> str:
    """Return the unit of a loss if it is the same in all runs that have the loss, else an empty string."""
    units = {
        history_columns.unit(name, history_columns.loss_names(rows), rows) for _, rows in histories if _has(rows, name)
    }
    return units.pop() if len(units) == 1 else ""


def _has(rows: history_columns.Rows, name: str) -> bool:
    return any(row.get(name) is not None or row.get(f"val_{name}") is not None for row in rows)


def _description(run: RunFiles) -> dict[str, object]:
    """Return the recorded settings, arguments and data (name and fingerprint) that determine the results of a run."""
    values = {name: value for name, value in run.part("settings").items() if name not in _IGNORED_SETTINGS}
    values["dataset"] = run.data_name
    values |= run.part("arguments")
    if fingerprint := run.part("data").get("fingerprint"):
        values["data fingerprint"] = str(fingerprint)[:16]
    # None means "chosen by the recipe", which differs from an argument that does not exist.
    return {name: "None" if value is None else value for name, value in values.items()}


def _notices(compared: Sequence[RunFiles], names: Sequence[str]) -> Markup:
    lines = []
    for run, name in zip(compared, names, strict=True):
        if reason := run.part("data").get("substituted_because"):
            lines.append(f"{name} was trained on {run.data_name} instead of the data of its recipe: {reason}")
        done, requested = run.epochs
        if requested is not None and done < requested:
            lines.append(f"{name} is not finished: {done} of {requested} epochs are done.")
    if len({run.part("data").get("fingerprint") for run in compared}) > 1:
        lines.append("The runs were trained on different data: their losses and scores are not directly comparable.")
    return html.joined(html.notice(line) for line in lines)


def _runs(compared: Sequence[RunFiles], names: Sequence[str]) -> Markup:
    rows = []
    for run, name in zip(compared, names, strict=True):
        done, requested = run.epochs
        time = sections.duration(sum(run.seconds)) if run.seconds else "–"
        per_epoch = sections.duration(statistics.median(run.seconds)) if run.seconds else "–"
        seed = number(run.part("settings").get("seed"))
        rows.append((name, run.model, run.data_name, f"{done} of {number(requested)}", seed, time, per_epoch))
    header = ("run", "recipe", "data", "epochs", "seed", "training time", "per epoch (median)")
    return html.table("The runs", header, rows)


def _settings(compared: Sequence[RunFiles], names: Sequence[str]) -> Markup:
    different = differences(compared)
    if not different:
        return element("p", "Settings, arguments and data are the same.")
    rows = [(name, *("–" if value is None else value for value in values)) for name, values in different.items()]
    return html.table("Settings, arguments and data that differ", ("name", *names), rows)


def _losses(compared: Sequence[RunFiles], names: Sequence[str]) -> Markup:
    last = [run.history[-1] if run.history else {} for run in compared]
    quantity_names = _loss_columns(compared)
    if not quantity_names:
        return element("p", "No run has finished an epoch, or their histories can't be read.")
    rows = [("epoch", *(number(row.get("epoch")) for row in last))]
    rows += [(name, *(number(row.get(name)) for row in last)) for name in quantity_names]
    missing = [
        html.notice(f"{name}: {run.problems['history']}")
        for run, name in zip(compared, names, strict=True)
        if not run.history
    ]
    table = html.table("Losses of each run's last epoch", ("quantity", *names), rows)
    note = "Validation losses begin with val_. Losses of different objectives are not comparable."
    return html.joined([*missing, table, element("p", note, class_="soft")])


def _loss_columns(compared: Sequence[RunFiles]) -> list[str]:
    names = dict.fromkeys(name for run in compared if run.history for name in history_columns.loss_names(run.history))
    recorded = {name for run in compared for name in (run.history[-1] if run.history else {})}
    return [column for name in names for column in (name, f"val_{name}") if column in recorded]


def _over_seeds(compared: Sequence[RunFiles], groups: list[list[int]], names: Sequence[str]) -> Markup:
    """Return tables of mean and standard deviation of the common quantities of runs that differ only in the seed."""
    parts, differing = [], differences(compared)
    for group in groups:
        members = [compared[index] for index in group]
        values = _common_values(members)
        rows = [(name, _mean_and_std(numbers)) for name, numbers in values.items()]
        seeds = ", ".join(number(run.part("settings").get("seed")) for run in members)
        settings = [f"{name} {values[group[0]]}" for name, values in differing.items() if name != "seed"]
        heading = f"{', '.join([members[0].model, *settings])}: seeds {seeds}"
        caption = (
            f"{', '.join(names[index] for index in group)}: mean ± standard deviation (n − 1) over {len(group)} runs"
        )
        content = (
            html.table(caption, ("quantity", "mean ± std"), rows) if rows else element("p", "No common quantities.")
        )
        parts += [element("h3", heading), content]
    return html.joined(parts)


def _common_values(members: Sequence[RunFiles]) -> dict[str, list[float]]:
    """Return the losses and scores of the last epoch, if it is the same for all runs, and scores of equal protocols."""
    values = {}
    last = [run.history[-1] if run.history else {} for run in members]
    if len({row.get("epoch") for row in last}) == 1 and last[0]:
        columns = [*_loss_columns(members), *(name for name in history_columns.score_names(members[0].history))]
        values |= {name: [row[name] for row in last] for name in columns if all(name in row for row in last)}
    if any(run.evaluation is None for run in members):
        return values
    measured = [{score.name: score for score in run.evaluation.scores} for run in members]
    for name, score in measured[0].items():
        same = [scores.get(name) for scores in measured]
        if all(other is not None and other.fingerprint == score.fingerprint for other in same):
            values[f"{name} (evaluate.py)"] = [other.value for other in same]
    return values


def _mean_and_std(values: Sequence[float]) -> str:
    if not all(map(math.isfinite, values)):
        return "not finite"
    return f"{number(statistics.fmean(values))} ± {statistics.stdev(values):.2g}"


def _scores(compared: Sequence[RunFiles], names: Sequence[str], ignore: Sequence[str]) -> Markup:
    pairs = list(zip(compared, names, strict=True))
    parts = [element("p", f"{name}: {run.problems['evaluation']}") for run, name in pairs if run.evaluation is None]
    measured = [(run, name) for run, name in pairs if run.evaluation is not None]
    if len(measured) < 2:
        return html.joined([*parts, element("p", "Scores are compared if at least two runs were evaluated.")])
    rows, reasons = [], []
    for row in comparison.compare([run.path for run, _ in measured], ignore):
        ranks = row.ranks or [None] * len(row.scores)
        rows.append((row.name, *map(_ranked, row.scores, ranks)))
        for entry, values in row.differences.items():
            reasons.append((row.name, entry, *map(number, values)))
    measured_names = [name for _, name in measured]
    parts.append(html.table("Scores; rank 1 is the best", ("score", *measured_names), rows))
    if reasons:
        caption = "Not ranked because these protocol entries differ"
        parts.append(
            html.details(
                "Why some scores are not ranked", html.table(caption, ("score", "entry", *measured_names), reasons)
            )
        )
    return html.joined(parts)


def _ranked(score, rank: int | None) -> object:
    if score is None:
        return "–"
    spread = "" if score.spread is None else f" ± {score.spread:.2g}"
    text = f"{number(score.value)}{spread}"
    if rank is None:
        return text
    return element("strong", f"{text} (1)") if rank == 1 else f"{text} ({rank})"


def _curves(compared: Sequence[RunFiles], names: Sequence[str]) -> Markup:
    histories = [(name, run.history) for run, name in zip(compared, names, strict=True) if run.history]
    try:
        wide, narrow = (data_uri.svg(loss_figure(histories, columns)) for columns in (_COLUMNS, 1))
    except UsageError:
        return element("p", "There are no curves: no run has finished an epoch.")
    alternative = f"Curves of the losses and scores of {len(histories)} runs over epochs, one color per run"
    counts = {
        row[name + history_columns.COUNT_ENDING]
        for _, rows in histories
        for name in history_columns.score_names(rows)
        for row in rows
        if row.get(name + history_columns.COUNT_ENDING) is not None
    }
    note = "Scores were measured on different numbers of images and are not comparable." if len(counts) > 1 else ""
    return html.figure(wide, alternative, note, narrow=narrow, kind="wide")


def _samples(compared: Sequence[RunFiles], names: Sequence[str]) -> Markup:
    shown = []
    for run, name in list(zip(compared, names, strict=True))[:MAX_GRIDS]:
        pictures = run.samples or run.reconstructions
        if not pictures:
            shown.append(element("div", element("h3", name), element("p", "No images are saved.")))
            continue
        kind = "samples" if run.samples else "images above reconstructions"
        grid = sections.grid(run, pictures[-1], f"{kind}, epoch {pictures[-1][0]}", "pixels")
        shown.append(element("div", element("h3", name), grid))
    left_out = len(compared) - len(shown)
    note = element("p", f"Only the first {MAX_GRIDS} runs are shown; {left_out} more are omitted.") if left_out else ""
    return html.joined([note, element("div", *shown, class_="side")])

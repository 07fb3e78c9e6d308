"""Several runs on one page: what differs in their settings, their losses, curves, scores and samples side by side."""

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
"""Runs whose last samples are shown; of more, the first ones."""

_COLUMNS, _PANEL_WIDTH, _PANEL_HEIGHT, _LEGEND_LINE = 2, 3.6, 2.7, 0.2
"""Panels side by side, and the sizes of a panel and of a line of the legend, in inches."""

# Where a run lay, and what it found for itself, is no setting that explains a difference.
_NO_DIFFERENCE = ("overrides", "data_dir", "extractor_weights")


def write(paths: Sequence[str | os.PathLike], out: str | os.PathLike, ignore: Sequence[str] = ()) -> Path:
    """Write the page that compares runs, and return where it is.

    Args:
        paths: different run directories, at least one.
        out: the file.
        ignore: entries of the scores' protocols that may differ in a ranking, as in `comparison.compare`.

    Raises:
        UsageError: no run directory, a damaged `recipe.json`, a run given twice, or a name in `ignore` that no protocol
            has.
        OSError: the file can't be written.
    """
    if not paths or len({Path(path).resolve() for path in paths}) < len(paths):
        raise must_be("runs", "different run directories, at least one", [str(path) for path in paths])
    files.write_text(out, comparison_page([run_files.read(path) for path in paths], ignore))
    return Path(out)


def comparison_page(compared: Sequence[RunFiles], ignore: Sequence[str] = ()) -> str:
    """The page that compares runs as HTML.

    Args:
        compared: runs as `run_files.read` returns them, at least one.
        ignore: as in `write`.

    Raises:
        UsageError: a name in `ignore` that no protocol has.

    Example:
        >>> for name in ("a", "b"):
        ...     Path(name).mkdir()
        ...     runs.write_json(f"{name}/recipe.json", {"settings": {"model": "vae-mlp"}})
        >>> "<h1>2 runs compared</h1>" in comparison_page([run_files.read("a"), run_files.read("b")])
        True
    """
    names = labels(compared)
    parts = [("Runs", _runs(compared, names)), ("Settings that differ", _settings(compared, names))]
    parts.append(("Last losses", _losses(compared, names)))
    if groups := seed_groups(compared):
        parts.append(("Over seeds", _over_seeds(compared, groups, names)))
    parts += [
        ("Scores", _scores(compared, names, ignore)),
        ("Curves", _curves(compared, names)),
        ("Last samples", _samples(compared, names)),
    ]
    title = "1 run" if len(compared) == 1 else f"{len(compared)} runs compared"
    return html.page(title, _notices(compared, names), parts)


def labels(compared: Sequence[RunFiles]) -> list[str]:
    """What to call the runs: their directories' names, or their paths where two have one name."""
    names = [run.name for run in compared]
    return names if len(set(names)) == len(names) else [str(run.path) for run in compared]


def differences(compared: Sequence[RunFiles]) -> dict[str, list]:
    """Settings, arguments and data in which runs differ: name to a value a run, None where it has none.

    Example:
        >>> for name, epochs in (("short", 5), ("long", 50)):
        ...     Path(name).mkdir()
        ...     runs.write_json(f"{name}/recipe.json", {"settings": {"model": "vae-mlp", "epochs": epochs}})
        >>> differences([run_files.read("long"), run_files.read("short")])
        {'epochs': [50, 5]}
    """
    described = [_description(run) for run in compared]
    names = dict.fromkeys(name for values in described for name in values)
    found = {name: [values.get(name) for values in described] for name in names}
    return {name: values for name, values in found.items() if any(value != values[0] for value in values)}


def seed_groups(compared: Sequence[RunFiles]) -> list[list[int]]:
    """Places of runs that differ in nothing but the seed, two or more together."""
    groups: dict[str, list[int]] = {}
    for index, run in enumerate(compared):
        values = {name: value for name, value in _description(run).items() if name != "seed"}
        groups.setdefault(json.dumps(values, sort_keys=True, default=str), []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def loss_figure(histories: Sequence[tuple[str, history_columns.Rows]], columns: int = _COLUMNS) -> Figure:
    """A panel a quantity, losses and scores, with the curves of all runs that have it: one color and marker a run.

    Training is solid, validation dashed; a value that is not finite is a gap.

    Args:
        histories: name and rows of each run, at least one, as `quantities.check_history` returns them.
        columns: panels side by side.

    Returns:
        A matplotlib figure that belongs to no window, its legend below the panels.

    Raises:
        UsageError: no history has a quantity to draw.

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
            every = max(1, len(points) // 5)  # enough to tell the runs apart without colors
            axes.plot(epochs, finite, dashes, color=color, marker=marker, markevery=every, markersize=4, linewidth=1.3)


def _legend(figure: Figure, names: Sequence[str], columns: int) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for index, name in enumerate(names):
        color, marker = style.class_style(index % style.MAX_CLASSES)
        text = name.replace("$", r"\$")  # which would begin a formula
        handles.append(Line2D([], [], color=color, marker=marker, markersize=4, label=text))
    for dashes, kind in (("-", "training, or score"), ("--", "validation")):
        handles.append(Line2D([], [], color="0.4", linestyle=dashes, label=kind))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=style.SMALL_SIZE)


def _unit(name: str, histories: Sequence[tuple[str, history_columns.Rows]]) -> str:
    """Of a loss, if all runs that have it measure it in the same; else nothing."""
    units = {
        history_columns.unit(name, history_columns.loss_names(rows), rows) for _, rows in histories if _has(rows, name)
    }
    return units.pop() if len(units) == 1 else ""


def _has(rows: history_columns.Rows, name: str) -> bool:
    return any(row.get(name) is not None or row.get(f"val_{name}") is not None for row in rows)


def _description(run: RunFiles) -> dict[str, object]:
    """All that decides what a run computes, as far as it is recorded; the data by name and fingerprint."""
    values = {name: value for name, value in run.part("settings").items() if name not in _NO_DIFFERENCE}
    values["dataset"] = run.data_name
    values |= run.part("arguments")
    if fingerprint := run.part("data").get("fingerprint"):
        values["data fingerprint"] = str(fingerprint)[:16]
    # An argument that is None says "as the recipe sees fit", which is not the same as to have no such argument.
    return {name: "None" if value is None else value for name, value in values.items()}


def _notices(compared: Sequence[RunFiles], names: Sequence[str]) -> Markup:
    lines = []
    for run, name in zip(compared, names, strict=True):
        if why := run.part("data").get("substituted_because"):
            lines.append(f"{name} was trained on {run.data_name} instead of its own data: {why}")
        done, asked = run.epochs
        if asked is not None and done < asked:
            lines.append(f"{name} is not finished: {done} of {asked} epochs are done.")
    if len({run.part("data").get("fingerprint") for run in compared}) > 1:
        lines.append("The runs were trained on different data: their losses and scores do not compare as they are.")
    return html.joined(html.notice(line) for line in lines)


def _runs(compared: Sequence[RunFiles], names: Sequence[str]) -> Markup:
    rows = []
    for run, name in zip(compared, names, strict=True):
        done, asked = run.epochs
        time = sections.duration(sum(run.seconds)) if run.seconds else "–"
        each = sections.duration(statistics.median(run.seconds)) if run.seconds else "–"
        seed = number(run.part("settings").get("seed"))
        rows.append((name, run.model, run.data_name, f"{done} of {number(asked)}", seed, time, each))
    header = ("run", "recipe", "data", "epochs", "seed", "training", "an epoch (median)")
    return html.table("The runs", header, rows)


def _settings(compared: Sequence[RunFiles], names: Sequence[str]) -> Markup:
    found = differences(compared)
    if not found:
        return element("p", "Settings, arguments and data are the same.")
    rows = [(name, *("–" if value is None else value for value in values)) for name, values in found.items()]
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
    words = "Validation losses begin with val_. Losses of different objectives do not compare."
    return html.joined([*missing, table, element("p", words, class_="soft")])


def _loss_columns(compared: Sequence[RunFiles]) -> list[str]:
    names = dict.fromkeys(name for run in compared if run.history for name in history_columns.loss_names(run.history))
    there = {name for run in compared for name in (run.history[-1] if run.history else {})}
    return [column for name in names for column in (name, f"val_{name}") if column in there]


def _over_seeds(compared: Sequence[RunFiles], groups: list[list[int]], names: Sequence[str]) -> Markup:
    """Mean and standard deviation over runs that differ in nothing but the seed, of losses and scores they all have."""
    parts, differing = [], differences(compared)
    for group in groups:
        members = [compared[index] for index in group]
        values = _common_values(members)
        rows = [(name, _mean_and_spread(found)) for name, found in values.items()]
        seeds = ", ".join(number(run.part("settings").get("seed")) for run in members)
        which = [f"{name} {values[group[0]]}" for name, values in differing.items() if name != "seed"]
        heading = f"{', '.join([members[0].model, *which])}: seeds {seeds}"
        words = (
            f"{', '.join(names[index] for index in group)}: mean ± standard deviation (n − 1) over {len(group)} runs"
        )
        content = html.table(words, ("quantity", "mean ± spread"), rows) if rows else element("p", "Nothing in common.")
        parts += [element("h3", heading), content]
    return html.joined(parts)


def _common_values(members: Sequence[RunFiles]) -> dict[str, list[float]]:
    """Losses and scores of the last epoch, if that is the same for all, then scores of one protocol."""
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


def _mean_and_spread(values: Sequence[float]) -> str:
    if not all(map(math.isfinite, values)):
        return "not finite"
    return f"{number(statistics.fmean(values))} ± {statistics.stdev(values):.2g}"


def _scores(compared: Sequence[RunFiles], names: Sequence[str], ignore: Sequence[str]) -> Markup:
    pairs = list(zip(compared, names, strict=True))
    parts = [element("p", f"{name}: {run.problems['evaluation']}") for run, name in pairs if run.evaluation is None]
    measured = [(run, name) for run, name in pairs if run.evaluation is not None]
    if len(measured) < 2:
        return html.joined([*parts, element("p", "Scores are compared where at least two runs were measured.")])
    rows, reasons = [], []
    for row in comparison.compare([run.path for run, _ in measured], ignore):
        ranks = row.ranks or [None] * len(row.scores)
        rows.append((row.name, *map(_ranked, row.scores, ranks)))
        for entry, values in row.differences.items():
            reasons.append((row.name, entry, *map(number, values)))
    called = [name for _, name in measured]
    parts.append(html.table("Scores; rank 1 is the best", ("score", *called), rows))
    if reasons:
        caption = "Not ranked, because these entries of the protocols differ"
        parts.append(html.details("Why some are not ranked", html.table(caption, ("score", "entry", *called), reasons)))
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
    words = f"Curves of the losses and scores of {len(histories)} runs over their epochs, a color each"
    counts = {
        row[name + history_columns.COUNT_ENDING]
        for _, rows in histories
        for name in history_columns.score_names(rows)
        for row in rows
        if row.get(name + history_columns.COUNT_ENDING) is not None
    }
    note = "Scores were measured on different numbers of images, and do not compare." if len(counts) > 1 else ""
    return html.figure(wide, words, note, narrow=narrow, kind="wide")


def _samples(compared: Sequence[RunFiles], names: Sequence[str]) -> Markup:
    shown = []
    for run, name in list(zip(compared, names, strict=True))[:MAX_GRIDS]:
        pictures = run.samples or run.reconstructions
        if not pictures:
            shown.append(element("div", element("h3", name), element("p", "No pictures are saved.")))
            continue
        kind = "samples" if run.samples else "images above reconstructions"
        grid = sections.grid(run, pictures[-1], f"{kind}, epoch {pictures[-1][0]}", "pixels")
        shown.append(element("div", element("h3", name), grid))
    left_out = len(compared) - len(shown)
    note = element("p", f"Of the first {MAX_GRIDS} runs; {left_out} more are not shown.") if left_out else ""
    return html.joined([note, element("div", *shown, class_="side")])

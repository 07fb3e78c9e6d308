"""Write a page that compares several runs: settings that differ, losses, curves, scores and samples side by side."""

from __future__ import annotations

import json
import math
import os
import statistics
from collections.abc import Sequence
from pathlib import Path

from keras_gen.evaluation import comparison, protocol
from keras_gen.report import history_columns, run_files
from keras_gen.report.figures.comparison_curves import COLUMNS, comparison_curves
from keras_gen.report.pages import data_uri, rendering
from keras_gen.report.pages.rendering import Picture
from keras_gen.report.run_files import RunFiles
from keras_gen.runs.settings import PLACES
from keras_gen.utils import files
from keras_gen.utils.errors import UsageError, must_be
from keras_gen.utils.text import duration, number

COMPARISON_FILE = "comparison.html"

MAX_GRIDS = 24
"""Maximum number of runs whose last samples are shown, the first ones."""

# Paths do not explain different results; overrides are listed as arguments.
_IGNORED_SETTINGS = ("overrides", *PLACES)


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
    """
    names = labels(compared)
    named = list(zip(names, compared, strict=True))
    return rendering.render(
        "comparison.html",
        title="1 run" if len(compared) == 1 else f"{len(compared)} runs compared",
        names=names,
        notices=_notices(named),
        runs=[_summary(name, run) for name, run in named],
        differences=_settings(compared),
        losses=_losses(compared),
        no_history=[f"{name}: {run.problems['history']}" for name, run in named if not run.history],
        seed_groups=[_over_seeds(compared, group, names) for group in seed_groups(compared)],
        not_measured=[f"{name}: {run.problems['evaluation']}" for name, run in named if run.evaluation is None],
        measured=[name for name, run in named if run.evaluation is not None],
        curves=_curves(named),
        samples=[(name, _last_grid(run)) for name, run in named[:MAX_GRIDS]],
        omitted=len(named) - MAX_GRIDS,
        **_scores(compared, ignore),
    )


def labels(compared: Sequence[RunFiles]) -> list[str]:
    """Return a label per run: the name of its directory, or the paths if two directories have the same name."""
    names = [run.name for run in compared]
    return names if len(set(names)) == len(names) else [str(run.path) for run in compared]


def differences(compared: Sequence[RunFiles]) -> dict[str, list]:
    """Return the settings, arguments and data that differ, as name to one value per run (None if it has none)."""
    return protocol.differences([_description(run) for run in compared])


def seed_groups(compared: Sequence[RunFiles]) -> list[list[int]]:
    """Return groups of two or more runs that differ only in the seed, as lists of indices."""
    groups: dict[str, list[int]] = {}
    for index, run in enumerate(compared):
        values = {name: value for name, value in _description(run).items() if name != "seed"}
        groups.setdefault(json.dumps(values, sort_keys=True, default=str), []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def _description(run: RunFiles) -> dict[str, object]:
    """Return the recorded settings, arguments and data (name and fingerprint) that determine the results of a run."""
    values = {name: value for name, value in run.part("settings").items() if name not in _IGNORED_SETTINGS}
    values |= {"dataset": run.data_name, "epochs": run.planned_epochs}
    values |= run.part("arguments")
    if fingerprint := run.part("data").get("fingerprint"):
        values["data fingerprint"] = str(fingerprint)[:16]
    # None means "chosen by the recipe", which differs from an argument that does not exist.
    return {name: "None" if value is None else value for name, value in values.items()}


def _notices(named: Sequence[tuple[str, RunFiles]]) -> list[str]:
    lines = []
    for name, run in named:
        if reason := run.part("data").get("substituted_because"):
            lines.append(f"{name} was trained on {run.data_name} instead of the data of its recipe: {reason}")
        done, requested = run.epochs
        if requested is not None and done < requested:
            lines.append(f"{name} is not finished: {done} of {requested} epochs are done.")
        if run.early_end:
            lines.append(f"{name} ended early, {run.early_end}.")
        if run.note_on_scores:
            lines.append(f"The scores of {name} were {run.note_on_scores}.")
    if len({str(run.part("data").get("fingerprint")) for _, run in named}) > 1:
        lines.append("The runs were trained on different data: their losses and scores are not directly comparable.")
    return lines


def _summary(name: str, run: RunFiles) -> tuple[object, ...]:
    """Return the row of a run in the first table."""
    epochs = f"{run.epochs[0]} of {number(run.planned_epochs)}"
    times = [duration(sum(run.seconds)), duration(statistics.median(run.seconds))] if run.seconds else [None, None]
    seed = str(run.part("settings").get("seed"))  # without thousands separators
    return name, run.model, run.data_name, epochs, seed, *times


def _settings(compared: Sequence[RunFiles]) -> list[tuple[str, ...]]:
    """Return rows of the settings that differ, with values as they are given, without thousands separators."""
    rows = differences(compared).items()
    return [(name, *("–" if value is None else str(value) for value in values)) for name, values in rows]


def _losses(compared: Sequence[RunFiles]) -> list[tuple]:
    """Return rows of the losses of the last epochs."""
    columns = _loss_columns(compared)
    return [(name, *(run.last.get(name) for run in compared)) for name in (["epoch", *columns] if columns else [])]


def _loss_columns(compared: Sequence[RunFiles]) -> list[str]:
    names = dict.fromkeys(name for run in compared for name in history_columns.loss_names(run.history))
    recorded = {name for run in compared for name in run.last}
    return [column for name in names for column in (name, f"val_{name}") if column in recorded]


def _over_seeds(compared: Sequence[RunFiles], group: Sequence[int], names: Sequence[str]) -> dict[str, object]:
    """Return mean and standard deviation of the common quantities of runs that differ only in the seed."""
    members = [compared[index] for index in group]
    settings = [f"{name} {values[group[0]]}" for name, values in differences(compared).items() if name != "seed"]
    seeds = ", ".join(str(run.part("settings").get("seed")) for run in members)
    runs = ", ".join(names[index] for index in group)
    return {
        "heading": f"{', '.join([members[0].model, *settings])}: seeds {seeds}",
        "caption": f"{runs}: mean ± standard deviation (n − 1) over {len(group)} runs",
        "rows": [(name, _mean_and_std(values)) for name, values in _common_values(members).items()],
    }


def _common_values(members: Sequence[RunFiles]) -> dict[str, list[float]]:
    """Return the losses and scores of the last epoch, if it is the same for all runs, and scores of equal protocols."""
    values, last = {}, [run.last for run in members]
    if len({row.get("epoch") for row in last}) == 1:
        columns = [*_loss_columns(members), *history_columns.score_names(members[0].history)]
        values |= {name: [row[name] for row in last] for name in columns if all(name in row for row in last)}
    if all(run.evaluation is not None for run in members):
        measured = [{(s.name, s.fingerprint): s.value for s in run.evaluation.scores} for run in members]
        for key in measured[0]:
            if all(key in scores for scores in measured):
                values[f"{key[0]} (keras-gen evaluate)"] = [scores[key] for scores in measured]
    return values


def _mean_and_std(values: Sequence[float]) -> str:
    if not all(map(math.isfinite, values)):
        return "not finite"
    return f"{number(statistics.fmean(values))} ± {statistics.stdev(values):.2g}"


def _scores(compared: Sequence[RunFiles], ignore: Sequence[str]) -> dict[str, list | None]:
    """Return the compared scores of the runs that were evaluated, and the reasons why some of them are not ranked."""
    measured = [run.path for run in compared if run.evaluation is not None]
    if len(measured) < 2:
        return {"scores": None}
    scores = comparison.compare(measured, ignore)
    not_ranked = [(row.name, entry, *values) for row in scores for entry, values in row.differences.items()]
    return {"scores": scores, "not_ranked": not_ranked}


def _curves(named: Sequence[tuple[str, RunFiles]]) -> Picture | None:
    histories = [(name, run.history) for name, run in named if run.history]
    try:
        wide, narrow = (data_uri.svg(comparison_curves(histories, columns)) for columns in (COLUMNS, 1))
    except UsageError:
        return None
    alternative = f"Curves of the losses and scores of {len(histories)} runs over epochs, one color per run"
    scores = {name for _, rows in histories for name in history_columns.score_names(rows)}
    counts = {row.get(name + history_columns.COUNT_ENDING) for _, rows in histories for row in rows for name in scores}
    counts.discard(None)
    note = "Scores were measured on different numbers of images and are not comparable." if len(counts) > 1 else ""
    return Picture(wide, alternative, note, narrow, is_plot=True)


def _last_grid(run: RunFiles) -> Picture | None:
    pictures = run.samples or run.reconstructions
    if not pictures:
        return None
    kind = "samples" if run.samples else "images above reconstructions"
    return rendering.grid(run, pictures[-1], f"{kind}, epoch {pictures[-1][0]}")

"""Build the sections of a run's report page from the result of `run_files.read`; each states what is missing."""

from __future__ import annotations

import math
import shlex
import statistics
from collections.abc import Sequence
from pathlib import Path

from keras_gen.evaluation import Score
from keras_gen.report import history_columns
from keras_gen.report.figures import curves
from keras_gen.report.pages import data_uri, html
from keras_gen.report.pages.html import Markup, element
from keras_gen.report.run_files import RunFiles
from keras_gen.runs.settings import RunSettings
from keras_gen.utils.errors import UsageError

MAX_EPOCHS = 6
"""Maximum number of epochs whose image grids are shown below one another."""

# A run resolves these settings and records the result, not the requested value.
_RESOLVED_BY_THE_RUN = ("model", "overrides", "dataset", "image_size", "extractor")


def notices(run: RunFiles) -> Markup:
    """Return warnings: a fallback data set, an unfinished run, values that are not finite."""
    lines = []
    if reason := run.part("data").get("substituted_because"):
        intended = f" instead of {run.settings.recipe.dataset}" if run.settings else ""
        lines.append(f"Trained on {run.data_name}{intended}: {reason}")
    done, requested = run.epochs
    if requested is not None and done < requested:
        resume = element("code", command("run.py", "--resume", run.path))
        lines.append(html.joined([f"Not finished: {done} of {requested} epochs are done. Resume with ", resume]))
    last = run.history[-1] if run.history else {}
    if not_finite := [name for name, value in last.items() if not math.isfinite(value)]:
        lines.append(f"Not finite after the last epoch: {', '.join(not_finite)}. The training diverged.")
    return html.joined(html.notice(line) for line in lines)


def data(run: RunFiles) -> Markup:
    """Return the section on the recipe and the data set."""
    record, counts = run.part("data"), run.part("data").get("counts")
    rows = [("recipe", run.model)]
    if run.settings is not None:
        recipe = run.settings.recipe
        rows += [("description", f"{recipe.summary} ({recipe.source})"), ("data of the recipe", recipe.dataset)]
    rows += [("data", run.data_name), ("source", record.get("source", "not recorded"))]
    if isinstance(counts, dict):
        rows.append(("images", ", ".join(f"{number(count)} {role}" for role, count in counts.items())))
    if isinstance(record.get("image_shape"), list):
        rows.append(("image shape", "×".join(map(str, record["image_shape"])) + " (height, width, channels)"))
    prepared = {name: record[name] for name in ("crop", "binarize") if record.get(name) is not None}
    rows += prepared.items()
    rows.append(("fingerprint (SHA-256)", element("code", record.get("fingerprint", "not recorded"))))
    recorded = record.get("notes")
    notes = [element("p", f"Note: {note}") for note in (recorded if isinstance(recorded, list) else [])]
    return html.joined([html.properties("Recipe and data", rows), *notes])


def settings(run: RunFiles) -> Markup:
    """Return the settings and arguments that differ from the recipe's defaults, and a collapsed table of all."""
    given = run.part("settings")
    arguments = run.part("arguments")
    every = [(name, str(value)) for name, value in (given | arguments).items() if name != "overrides"]
    whole = html.details("All settings and arguments", html.properties("All settings and arguments", every))
    if run.settings is None:
        return html.joined([html.notice(run.problems["settings"]), whole])
    changed = changed_settings(run.settings, run.part("data").get("requested"))
    if not changed:
        return html.joined([element("p", "All settings and arguments are the defaults of the recipe."), whole])
    rows = [(name, str(value), str(default)) for name, (value, default) in changed.items()]
    caption = "Settings and arguments that differ from the defaults of the recipe"
    return html.joined([html.table(caption, ("name", "this run", "default"), rows), whole])


def changed_settings(settings: RunSettings, requested: object = None) -> dict[str, tuple[object, object]]:
    """Return the settings and arguments that differ from the recipe's defaults, as name to (value, default).

    Args:
        settings: settings of a run.
        requested: requested data set; None for that of the recipe.

    Example:
        >>> changed_settings(RunSettings("vae-mlp", {"latent_dim": 2}, epochs=3, fid_every=3))
        {'epochs': (3, 50), 'fid_every': (3, 10), 'latent_dim': (2, 16)}
    """
    defaults, given = RunSettings(settings.model).to_json(), settings.to_json()
    changed = {} if requested is None else {"dataset": (requested, settings.recipe.dataset)}
    changed |= {
        name: (value, defaults[name])
        for name, value in given.items()
        if name not in _RESOLVED_BY_THE_RUN and value != defaults[name]
    }
    defaults = RunSettings(settings.model).arguments()
    return changed | {
        name: (value, defaults[name]) for name, value in settings.arguments().items() if value != defaults[name]
    }


def time_and_machine(run: RunFiles) -> Markup:
    """Return the section on training time, machine, versions and command line."""
    rows, seconds = [], run.seconds
    if seconds:
        rows.append(("training time", f"{duration(sum(seconds))}, {len(seconds)} epochs"))
        low, middle, high = (duration(value) for value in (min(seconds), statistics.median(seconds), max(seconds)))
        rows.append(("time per epoch", middle if len(seconds) == 1 else f"{middle} (median; {low} to {high})"))
    else:
        rows.append(("training time", "no epoch is finished yet"))
    rows.append(("started", run.record.get("created", "not recorded")))
    rows.append(("machine", _machine(run.record.get("machine"))))
    versions = ", ".join(f"{name} {version}" for name, version in run.part("versions").items())
    rows.append(("versions", versions or "not recorded"))
    if isinstance(words := run.record.get("command"), list):
        rows.append(("command", element("code", shlex.join(map(str, ["python", *words])))))
    note = element("p", "The time of an epoch includes validation and scores.", class_="soft")
    return html.joined([html.properties("Time, machine and versions", rows), note])


def _machine(recorded: object) -> str:
    """Return the machine in one line; older runs recorded such a line."""
    if not isinstance(recorded, dict):
        return str(recorded or "not recorded")
    gpus = recorded.get("gpus") or ["no GPU"]
    words = [recorded.get("processor"), f"{recorded.get('cores')} cores", *gpus, recorded.get("system")]
    if recorded.get("replicas", 1) != 1:
        words.append(f"trained on {recorded['replicas']} devices")
    return ", ".join(map(str, words))


def losses(run: RunFiles) -> Markup:
    """Return a table of the losses of the last epoch, and curves of all epochs."""
    if not run.history:
        return html.notice(run.problems["history"])
    names = history_columns.loss_names(run.history)
    if not names:
        return element("p", "The history has no losses.")
    last = run.history[-1]
    rows = [
        (name, number(last.get(name)), number(last.get(f"val_{name}")), history_columns.unit(name, names, run.history))
        for name in names
    ]
    caption = f"Losses of epoch {last['epoch']}, averaged over the images of the epoch"
    shown = html.table(caption, ("quantity", "training", "validation", "unit"), rows)
    alternative = f"Curves of {', '.join(names)} over {len(run.history)} epochs; the last values are in the table above"

    def draw(columns):
        return data_uri.svg(curves.loss_curves(run.history, "", scores=False, columns=columns))

    return html.joined([shown, html.figure(draw(2), alternative, narrow=draw(1), kind="wide")])


def metrics(run: RunFiles) -> Markup:
    """Return curves of the scores measured during training."""
    names = history_columns.score_names(run.history)
    if not names:
        return element("p", "No scores were measured during training.")
    points = [row for row in run.history if any(row.get(name) is not None for name in names)]
    rows = [(row["epoch"], *(number(row.get(name)) for name in names)) for row in points]
    shown = html.details("Values", html.table("Scores during training", ("epoch", *names), rows))
    figure = curves.metric_curves(run.history, "", columns=2)
    kind = "wide" if len(names) > 1 else None
    alternative = f"Curves of {', '.join(names)}; the values are in the table below"
    note = (
        "Measured during training on the number of images in the legend; the final scores below have other protocols."
    )
    return html.joined([html.figure(data_uri.svg(figure), alternative, note, kind=kind), shown])


def samples(run: RunFiles) -> Markup:
    """Return the last grid of generated images, and samples of the same latents through training."""
    if not run.samples:
        return element("p", "There are no sample grids: none is saved yet, or the model does not generate images.")
    epoch = run.samples[-1][0]
    whole = grid(run, run.samples[-1], f"Images generated after epoch {epoch}", "pixels")
    return html.joined([whole, through_training(run, run.samples, "The same latents through training", 1)])


def reconstructions(run: RunFiles) -> Markup:
    """Return the last grid of reconstructions, and those of the same images through training."""
    denoises = run.part("arguments").get("corruption", "none") != "none"
    rows = 3 if denoises else 2
    content = "images, noisy inputs and reconstructions" if denoises else "images above their reconstructions"
    epoch = run.reconstructions[-1][0]
    whole = grid(run, run.reconstructions[-1], f"After epoch {epoch}: {content}", "pixels")
    return html.joined([whole, through_training(run, run.reconstructions, "The same images through training", rows)])


def through_training(run: RunFiles, pictures: Sequence[tuple[int, Path]], heading: str, rows: int) -> Markup:
    """Return the first rows of the grids of some epochs, below one another; empty if there is only one epoch."""
    chosen = evenly_spread(pictures, MAX_EPOCHS)
    if len(chosen) < 2:
        return Markup("")
    shown = [grid(run, picture, f"epoch {picture[0]}", "pixels", rows) for picture in chosen]
    return html.joined([element("h3", heading), element("div", *shown, class_="rows")])


def grid(run: RunFiles, picture: tuple[int, Path], caption: str, kind: str, rows: int | None = None) -> Markup:
    """Return an image grid saved by the run, or a notice on why it can't be shown."""
    epoch, path = picture
    try:
        uri = data_uri.grid(path, run.image_height, rows)
    except UsageError as error:
        return html.notice(str(error))
    alternative = f"A grid of images of {run.model} after epoch {epoch} of training on {run.data_name}"
    return html.figure(uri, alternative, caption, kind=kind)


def scores(run: RunFiles) -> Markup:
    """Return the results of `experiments/evaluate.py` with their protocols, and the command."""
    evaluate = element("p", "Evaluate the run with ", element("code", command("evaluate.py", run.path)))
    if run.evaluation is None:
        return html.joined([element("p", run.problems["evaluation"]), evaluate])
    parts, done = [], run.epochs[0]
    if run.evaluated_epoch not in (None, done):
        line = f"Measured after epoch {run.evaluated_epoch}; the run has finished {done} epochs."
        parts.append(html.notice(line))
    evaluation = run.evaluation
    if evaluation.scores:
        header = ("score", "value", "better", "± spread", "real images", "approx. bias", "protocol")
        parts.append(html.table("Scores", header, map(score_row, evaluation.scores)))
        note = "Real images: the score of as many real images. Scores are comparable only under the same protocol."
        parts += [element("p", note, class_="soft"), protocols(evaluation.scores)]
    losses = [(name, number(value)) for name, value in evaluation.losses.items()]
    if losses:
        parts.append(html.table("Losses on the test images", ("quantity", "value"), losses))
    parts += [element("p", f"Note: {note}") for note in evaluation.notes]
    return html.joined(parts)


def score_row(score: Score) -> tuple[object, ...]:
    """Return the table cells of a score."""
    spread = "" if score.spread is None else number(score.spread)
    if spread and score.spread_over:
        spread = f"{spread} (over {score.spread_over})"
    better = {"low": "lower", "high": "higher"}.get(score.better, "")
    real, bias = ("" if value is None else number(value) for value in (score.floor, score.bias))
    return (
        score.name,
        number(score.value),
        better,
        spread,
        real,
        bias,
        element("code", score.fingerprint, class_="whole"),
    )


def protocols(scores: Sequence[Score]) -> Markup:
    """Return the protocols of the scores, collapsed: first the common entries, then those of each score."""
    first = scores[0].protocol
    common = {
        name: value
        for name, value in first.items()
        if all(name in score.protocol and score.protocol[name] == value for score in scores)
    }
    common_table = html.table(
        "All scores", ("entry", "value"), [(name, number(value)) for name, value in common.items()]
    )
    rows = []
    for score in scores:
        own = [f"{name}: {number(value)}" for name, value in score.protocol.items() if name not in common]
        rows.append((score.name, "; ".join(own)))
    return html.details(
        "Protocol", common_table if common else "", html.table("Each score", ("score", "protocol"), rows)
    )


def model(run: RunFiles) -> Markup:
    """Return the summary of the networks, collapsed."""
    if run.summary is None:
        return element("p", run.problems["summary"])
    return html.details("Networks, layer by layer", element("pre", run.summary, tabindex="0"))


def next_steps(run: RunFiles) -> Markup:
    """Return a table of the commands that can be applied to the run."""
    done, requested = run.epochs
    more = [] if requested is None or done < requested else ["--epochs", 2 * requested]
    rows = [("resume training", command("run.py", "--resume", run.path, *more))]
    if run.samples:
        rows.append(("generate images", command("sample.py", run.path)))
    rows.append(("evaluate", command("evaluate.py", run.path)))
    rows.append(("add figures of the latents to this page", command("report.py", run.path)))
    cells = [(action, element("code", text)) for action, text in rows]
    return html.properties("Commands", cells)


def command(name: str, *words: object) -> str:
    """Return the shell command of a script in `experiments/`."""
    return shlex.join(["python", f"experiments/{name}", *map(str, words)])


def evenly_spread(items: Sequence, count: int) -> list:
    """Return at most `count` (2 or more) evenly spaced items, including the first and the last.

    Example:
        >>> evenly_spread(range(1, 51), 6)
        [1, 11, 21, 30, 40, 50]
    """
    if len(items) <= count:
        return list(items)
    return [items[round(index * (len(items) - 1) / (count - 1))] for index in range(count)]


def duration(seconds: float) -> str:
    """Format a time, to three digits or whole seconds.

    Example:
        >>> duration(0.1234), duration(75.4), duration(7384)
        ('0.123 s', '1 min 15 s', '2 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def number(value: object) -> str:
    """Format a value for a table: five digits, thousands separators, a dash for None.

    Example:
        >>> number(0.123456789), number(55000), number(None), number("none"), number(True)
        ('0.12346', '55,000', '–', 'none', 'True')
    """
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.5g}"

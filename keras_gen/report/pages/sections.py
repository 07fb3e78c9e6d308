"""The sections of a run's report page, each from what `run_files.read` found; what is missing is said in its place."""

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
"""Epochs, at most, whose pictures are shown below one another."""

# What a run looks up and then keeps: the record does not say what was asked for.
_FOUND_BY_THE_RUN = ("model", "overrides", "dataset", "image_size", "extractor")


def notices(run: RunFiles) -> Markup:
    """What a reader must not overlook: other data than meant, an unfinished run, values that are not finite."""
    lines = []
    if why := run.part("data").get("substituted_because"):
        own = f" instead of {run.settings.recipe.dataset}" if run.settings else ""
        lines.append(f"Trained on {run.data_name}{own}: {why}")
    done, asked = run.epochs
    if asked is not None and done < asked:
        how = element("code", command("run.py", "--resume", run.path))
        lines.append(html.joined([f"Not finished: {done} of {asked} epochs are done. Go on with ", how]))
    last = {name: value for name, value in (run.history[-1] if run.history else {}).items()}
    if broken := [name for name, value in last.items() if not math.isfinite(value)]:
        lines.append(f"Not finite after the last epoch: {', '.join(broken)}. The training diverged.")
    return html.joined(html.notice(line) for line in lines)


def data(run: RunFiles) -> Markup:
    """What was trained on what."""
    record, counts = run.part("data"), run.part("data").get("counts")
    rows = [("recipe", run.model)]
    if run.settings is not None:
        recipe = run.settings.recipe
        rows += [("what it is", f"{recipe.summary} ({recipe.source})"), ("its own data", recipe.dataset)]
    rows += [("data", run.data_name), ("source", record.get("source", "not recorded"))]
    if isinstance(counts, dict):
        rows.append(("images", ", ".join(f"{number(count)} {role}" for role, count in counts.items())))
    if isinstance(record.get("image_shape"), list):
        rows.append(("shape of an image", "×".join(map(str, record["image_shape"])) + " (height, width, channels)"))
    prepared = {name: record[name] for name in ("crop", "binarize") if record.get(name) is not None}
    rows += prepared.items()
    rows.append(("fingerprint (SHA-256)", element("code", record.get("fingerprint", "not recorded"))))
    recorded = record.get("notes")
    notes = [element("p", f"Note: {note}") for note in (recorded if isinstance(recorded, list) else [])]
    return html.joined([html.properties("Recipe and data", rows), *notes])


def settings(run: RunFiles) -> Markup:
    """The settings and arguments that differ from the recipe's, and all of them folded."""
    given = run.part("settings")
    arguments = run.part("arguments")
    every = [(name, str(value)) for name, value in (given | arguments).items() if name != "overrides"]
    whole = html.details("All settings and arguments", html.properties("All settings and arguments", every))
    if run.settings is None:
        return html.joined([html.notice(run.problems["settings"]), whole])
    changed = changed_settings(run.settings, run.part("data").get("requested"))
    if not changed:
        return html.joined([element("p", "All settings and arguments are the recipe's own."), whole])
    rows = [(name, str(value), str(own)) for name, (value, own) in changed.items()]
    caption = "What differs from the recipe's own settings and arguments"
    return html.joined([html.table(caption, ("name", "here", "the recipe's"), rows), whole])


def changed_settings(settings: RunSettings, requested: object = None) -> dict[str, tuple[object, object]]:
    """Settings and arguments that are not the recipe's own, by name: their value, and the recipe's.

    Args:
        settings: of a run.
        requested: the data set that was asked for, None for the recipe's.

    Example:
        >>> changed_settings(RunSettings("vae-mlp", {"latent_dim": 2}, epochs=3, fid_every=3))
        {'epochs': (3, 50), 'fid_every': (3, 10), 'latent_dim': (2, 16)}
    """
    own, given = RunSettings(settings.model).to_json(), settings.to_json()
    changed = {} if requested is None else {"dataset": (requested, settings.recipe.dataset)}
    changed |= {
        name: (value, own[name])
        for name, value in given.items()
        if name not in _FOUND_BY_THE_RUN and value != own[name]
    }
    defaults = RunSettings(settings.model).arguments()
    return changed | {
        name: (value, defaults[name]) for name, value in settings.arguments().items() if value != defaults[name]
    }


def time_and_machine(run: RunFiles) -> Markup:
    """Seconds, machine, versions and command line."""
    rows, seconds = [], run.seconds
    if seconds:
        rows.append(("training", f"{duration(sum(seconds))}, {len(seconds)} epochs"))
        low, middle, high = (duration(value) for value in (min(seconds), statistics.median(seconds), max(seconds)))
        rows.append(("an epoch", middle if len(seconds) == 1 else f"{middle} (median; {low} to {high})"))
    else:
        rows.append(("training", "no epoch is finished yet"))
    rows.append(("started", run.record.get("created", "not recorded")))
    rows.append(("machine", _machine(run.record.get("machine"))))
    versions = ", ".join(f"{name} {version}" for name, version in run.part("versions").items())
    rows.append(("versions", versions or "not recorded"))
    if isinstance(words := run.record.get("command"), list):
        rows.append(("command", element("code", shlex.join(map(str, ["python", *words])))))
    note = element("p", "An epoch's seconds include its validation and the scores of its images.", class_="soft")
    return html.joined([html.properties("Time, machine and versions", rows), note])


def _machine(recorded: object) -> str:
    """The machine in one line; older runs have recorded just that."""
    if not isinstance(recorded, dict):
        return str(recorded or "not recorded")
    gpus = recorded.get("gpus") or ["no GPU"]
    words = [recorded.get("processor"), f"{recorded.get('cores')} cores", *gpus, recorded.get("system")]
    if recorded.get("replicas", 1) != 1:
        words.append(f"trained on {recorded['replicas']} devices")
    return ", ".join(map(str, words))


def losses(run: RunFiles) -> Markup:
    """The last epoch's losses as a table, and all epochs' as curves."""
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
    caption = f"Losses of epoch {last['epoch']}, averaged over the epoch's images"
    shown = html.table(caption, ("quantity", "training", "validation", "unit"), rows)
    alternative = f"Curves of {', '.join(names)} over {len(run.history)} epochs; the last values are in the table above"

    def drawn(columns):
        return data_uri.svg(curves.loss_curves(run.history, "", scores=False, columns=columns))

    return html.joined([shown, html.figure(drawn(2), alternative, narrow=drawn(1), kind="wide")])


def metrics(run: RunFiles) -> Markup:
    """Scores that the run measured of its own images, as curves."""
    names = history_columns.score_names(run.history)
    if not names:
        return element("p", "No epoch's images were scored during training.")
    points = [row for row in run.history if any(row.get(name) is not None for name in names)]
    rows = [(row["epoch"], *(number(row.get(name)) for name in names)) for row in points]
    shown = html.details("Values", html.table("Scores during training", ("epoch", *names), rows))
    figure = curves.metric_curves(run.history, "", columns=2)
    kind = "wide" if len(names) > 1 else None
    alternative = f"Curves of {', '.join(names)}; the values are in the table below"
    note = "Measured while training, on as many images as the figure says; scores below have their own protocols."
    return html.joined([html.figure(data_uri.svg(figure), alternative, note, kind=kind), shown])


def samples(run: RunFiles) -> Markup:
    """The last grid of generated images, and the same latents through training."""
    if not run.samples:
        return element("p", "There are no grids of samples: none is saved yet, or the model does not generate images.")
    epoch = run.samples[-1][0]
    whole = grid(run, run.samples[-1], f"Images generated after epoch {epoch}", "pixels")
    return html.joined([whole, through_training(run, run.samples, "The same latents through training", 1)])


def reconstructions(run: RunFiles) -> Markup:
    """The last grid of reconstructions, and the same images through training."""
    denoises = run.part("arguments").get("corruption", "none") != "none"
    rows = 3 if denoises else 2
    what = "images, what the model saw, and its reconstructions" if denoises else "images above their reconstructions"
    epoch = run.reconstructions[-1][0]
    whole = grid(run, run.reconstructions[-1], f"After epoch {epoch}: {what}", "pixels")
    return html.joined([whole, through_training(run, run.reconstructions, "The same images through training", rows)])


def through_training(run: RunFiles, pictures: Sequence[tuple[int, Path]], heading: str, rows: int) -> Markup:
    """The first rows of the pictures of some epochs, below one another; nothing if there is only one epoch."""
    chosen = evenly_spread(pictures, MAX_EPOCHS)
    if len(chosen) < 2:
        return Markup("")
    shown = [grid(run, picture, f"epoch {picture[0]}", "pixels", rows) for picture in chosen]
    return html.joined([element("h3", heading), element("div", *shown, class_="rows")])


def grid(run: RunFiles, picture: tuple[int, Path], caption: str, kind: str, rows: int | None = None) -> Markup:
    """A picture that the run saved, or a line on why it can't be shown."""
    epoch, path = picture
    try:
        uri = data_uri.grid(path, run.image_height, rows)
    except UsageError as error:
        return html.notice(str(error))
    words = f"A grid of images of {run.model} after epoch {epoch} of training on {run.data_name}"
    return html.figure(uri, words, caption, kind=kind)


def scores(run: RunFiles) -> Markup:
    """What `experiments/evaluate.py` measured, with its protocol; or how to measure it."""
    how = element("p", "Measure the run with ", element("code", command("evaluate.py", run.path)))
    if run.evaluation is None:
        return html.joined([element("p", run.problems["evaluation"]), how])
    parts, done = [], run.epochs[0]
    if run.evaluated_epoch not in (None, done):
        line = f"Measured after epoch {run.evaluated_epoch}; the run has done {done} epochs."
        parts.append(html.notice(line))
    evaluation = run.evaluation
    if evaluation.scores:
        header = ("score", "value", "better", "± spread", "real images", "bias about", "protocol")
        parts.append(html.table("Scores", header, map(score_row, evaluation.scores)))
        words = "Real images: what as many real images score. Scores compare only if their protocols are the same."
        parts += [element("p", words, class_="soft"), protocols(evaluation.scores)]
    losses = [(name, number(value)) for name, value in evaluation.losses.items()]
    if losses:
        parts.append(html.table("Losses on the test images", ("quantity", "value"), losses))
    parts += [element("p", f"Note: {note}") for note in evaluation.notes]
    return html.joined(parts)


def score_row(score: Score) -> tuple[object, ...]:
    """A score as the cells of a table."""
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
    """What scores depend on, folded: the entries that all have in common, then those of each."""
    first = scores[0].protocol
    common = {
        name: value
        for name, value in first.items()
        if all(name in score.protocol and score.protocol[name] == value for score in scores)
    }
    of_all = html.table("Of all scores", ("entry", "value"), [(name, number(value)) for name, value in common.items()])
    rows = []
    for score in scores:
        own = [f"{name}: {number(value)}" for name, value in score.protocol.items() if name not in common]
        rows.append((score.name, "; ".join(own)))
    return html.details("Protocol", of_all if common else "", html.table("Of each score", ("score", "protocol"), rows))


def model(run: RunFiles) -> Markup:
    """The networks, layer by layer, folded."""
    if run.summary is None:
        return element("p", run.problems["summary"])
    return html.details("Networks, layer by layer", element("pre", run.summary, tabindex="0"))


def resume_command(run: RunFiles) -> Markup:
    """The commands for what can be done with the run."""
    done, asked = run.epochs
    more = [] if asked is None or done < asked else ["--epochs", 2 * asked]
    rows = [("train on", command("run.py", "--resume", run.path, *more))]
    if run.samples:
        rows.append(("generate images", command("sample.py", run.path)))
    rows.append(("measure", command("evaluate.py", run.path)))
    rows.append(("this page, with figures of the latents", command("report.py", run.path)))
    cells = [(what, element("code", words)) for what, words in rows]
    return html.properties("Commands", cells)


def command(name: str, *words: object) -> str:
    """A command of `experiments/`, as a shell takes it."""
    return shlex.join(["python", f"experiments/{name}", *map(str, words)])


def evenly_spread(items: Sequence, most: int) -> list:
    """At most `most` (2 or more) of some items, the first and the last among them, at even distances.

    Example:
        >>> evenly_spread(range(1, 51), 6)
        [1, 11, 21, 30, 40, 50]
    """
    if len(items) <= most:
        return list(items)
    return [items[round(index * (len(items) - 1) / (most - 1))] for index in range(most)]


def duration(seconds: float) -> str:
    """A time in words, to three digits or whole seconds.

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
    """A value as a table shows it: five digits, thousands apart, a dash for what is not there.

    Example:
        >>> number(0.123456789), number(55000), number(None), number("none"), number(True)
        ('0.12346', '55,000', '–', 'none', 'True')
    """
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.5g}"

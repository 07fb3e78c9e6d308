"""The card of a published model, rendered from its record: what it is, how it was trained, what it reaches, its use."""

from __future__ import annotations

import functools
import math
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import jinja2

from keras_gen.data import catalog
from keras_gen.evaluation.score import Score
from keras_gen.publishing import records
from keras_gen.publishing.records import Published, Record, TrainedRun

LICENSE = "apache-2.0"

MEANINGS = {
    "confident": "{value:.0%} of the images are recognized with more than 90 % certainty ({floor:.0%} of real ones)",
    "mode_entropy": "their classes have an entropy of {value:.3f} nats (log 10 = 2.303 for ten even classes)",
    "precision": "{value:.0%} of the images lie where real ones do ({floor:.0%} of other real ones)",
    "recall": "{value:.0%} of real images lie where generated ones do ({floor:.0%})",
    "coverage": "{value:.0%} of real images have a generated one nearby ({floor:.0%} with as many real ones)",
    "memorisation": "a generated image is nearer to a training image than a held-out one is with probability "
    "{value:.2f} (½: no copies)",
}
"""What a score says in words, by its metric."""


def card(published: Published) -> str:
    """Return the card of a published model as Markdown, with the metadata that model hubs read.

    Args:
        published: the model, its record and evaluation.
    """
    record, scores = published.record, published.evaluation.scores
    generated = records.of_generated(scores)
    data = record.data["name"]
    return _template().render(
        record=record,
        data=record.data,
        license=LICENSE,
        tags=[record.recipe.partition("-")[0], "image-generation", "keras_gen"],
        shape=", ".join(map(str, record.data["image_shape"])),
        generates=record.sampler is not None,
        training=list(_training(record)),
        protocol=generated[0].protocol if generated else None,
        scores=list(_scores(published)),
        meanings=list(_meanings(generated)),
        about=catalog.find(data).about if catalog.find(data) else "data of your own",
    )


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["table"] = table
    return environment.get_template("card.md")


def _training(record: Record) -> Iterator[tuple[str, str]]:
    """Yield the rows on the training: name and value."""
    first, machine, versions = record.runs[0], record.machine, record.versions
    counts = ", ".join(f"{count:,} {role}" for role, count in record.data["counts"].items())
    yield "data", f"{record.data['name']}: {counts}"
    yield "command", f"`python experiments/run.py {shlex.join(record.command)}`"
    yield "seeds", ", ".join(str(run.seed) for run in record.runs) + f"; these weights: {first.seed}"
    yield "epochs", _epochs(first)
    updates = {name.removesuffix("updates").strip("_"): count for name, count in first.updates.items()}
    yield "updates", ", ".join(f"{count:,} {network}".strip() for network, count in updates.items())
    devices = machine["gpus"] or [f"{machine['processor']}, {machine['cores']} cores"]
    minutes = ", ".join(f"{run.minutes:.2g}" for run in record.runs)
    yield "time", f"{minutes} minutes; {', '.join(devices)}; {machine['precision']}"
    if resumed := sum(run.resumed for run in record.runs):
        yield "interrupted and resumed", f"{resumed} {'time' if resumed == 1 else 'times'}"
    yield "latents", {None: "none", "prior": "standard normal"}.get(record.sampler, str(record.sampler))
    yield (
        "versions",
        f"keras_gen {versions['keras_gen']}, TensorFlow {versions['tensorflow']}, Keras {versions['keras']}",
    )


def _epochs(run: TrainedRun) -> str:
    early = f" of {run.planned_epochs}: {run.ended_early}" if run.planned_epochs else ""
    best = f"; weights of epoch {run.evaluated_epoch}, the best" if run.evaluated_epoch != run.epochs else ""
    return f"{run.epochs}{early}{best}"


def _scores(published: Published) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table of scores: mean and spread over the runs, or else the spread of the score."""
    record = published.record
    for score in published.evaluation.scores:
        spread, over = record.spread(score.name), f"{len(record.values(score.name))} trainings"
        if spread is None:
            spread, over = score.spread, score.spread_over
        value = number(record.mean(score.name)) + (f" ± {spread:.2g} ({over})" if spread is not None else "")
        better = {"low": "lower", "high": "higher", None: ""}[score.better]
        floor, stored = "" if score.floor is None else number(score.floor), ""
        if score.name in record.exported_scores:
            stored = f"{number(score.value)}, {number(record.exported_scores[score.name])}"
        yield f"`{score.name}`", value, better, floor, stored, f"`{score.fingerprint}`"
    for name in published.evaluation.losses:
        spread = record.spread(name)
        more = f" ± {spread:.2g} ({len(record.values(name))} trainings)" if spread is not None else ""
        yield f"{name} of test images", number(record.mean(name)) + more, "", "", "", ""


def _meanings(scores: Sequence[Score]) -> Iterator[str]:
    by_metric = {score.protocol["metric"]: score for score in scores}
    for metric, text in MEANINGS.items():
        if metric in by_metric:
            score = by_metric[metric]
            yield text.format(value=score.value, floor=math.nan if score.floor is None else score.floor)


def number(value: float) -> str:
    """Return a score as text with four digits.

    Example:
        >>> number(12.34567), number(0.00123456), number(12345.6)
        ('12.35', '0.001235', '12,346')
    """
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table.

    Example:
        >>> print(table(["a", "b"], [["1", "2"]]))
        | a | b |
        |---|---|
        | 1 | 2 |
    """
    lines = [f"| {' | '.join(cells)} |" for cells in (header, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(header)}", *lines[1:]])

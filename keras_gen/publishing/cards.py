"""The card of a published model, rendered from its record: what it is, how it was trained, what it reaches, its use."""

from __future__ import annotations

import functools
import html
import math
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence

import jinja2

from keras_gen.data import catalog
from keras_gen.evaluation.score import DIRECTION, Score, by_metric, of_generated
from keras_gen.publishing import quality
from keras_gen.publishing.records import Published, Record, TrainedRun
from keras_gen.report import templating
from keras_gen.utils.text import counted, duration, significant

MEANINGS = {
    "confident": "{share} of the images are recognized with more than 90 % certainty{floor}",
    "mode_entropy": "the entropy of their classes is {value:.3f} nats (2.303 for ten equally frequent classes)",
    "precision": "{share} of the images lie where real ones do{floor}",
    "recall": "{share} of real images lie where generated ones do{floor}",
    "coverage": "{share} of real images have a generated one nearby{floor}",
    "memorisation": "with probability {value:.2f}, a generated image is nearer to a training image than a held-out "
    "image is (0.5 for new real images; more is a sign of copies)",
}
"""Explanations of scores in words, by metric."""

_STORED = "float32 weights, stored float16 weights"
_NETWORKS = {
    "updates": "",
    "d_updates": " of the discriminator",
    "g_updates": " of the generator",
    "critic_updates": " of the critic",
}


def card(published: Published) -> str:
    """Return the card of a published model as Markdown, with the metadata that model hubs read.

    Args:
        published: the model, its record and evaluation.
    """
    record, scores = published.record, published.evaluation.scores
    generated = of_generated(scores)
    data = record.data["name"]
    columns = ["score", "value", "better", "floor", *([_STORED] if published.has_weights else []), "fingerprint"]
    return _template().render(
        record=record,
        data=record.data,
        tags=[record.recipe.partition("-")[0], "image-generation", "keras_gen"],
        shape=", ".join(map(str, record.data["image_shape"])),
        generates=record.sampler is not None,
        denoises=record.settings["overrides"].get("corruption", "none") != "none",
        class_names=_class_names(record),
        num_classes=record.settings["overrides"].get("num_classes", 0),
        has_weights=published.has_weights,
        training=list(_training(published)),
        protocol=generated[0].protocol if generated else None,
        columns=columns,
        scores=[[row.get(column, "") for column in columns] for row in _scores(published)],
        meanings=list(_meanings(record, generated)),
        requirements=_requirements(published),
        recipes="".join(f" {word}" for word in record.command if word.startswith("--recipes=")),
        results=[(name, f"{value:.6g}") for name, value in record.exported_scores.items()],
        about=(catalog.find(data).about if catalog.find(data) else "") or "data of the author",
    )


def _class_names(record: Record) -> str:
    """Return the numbers and names of the classes; empty text if their names are numbers."""
    names = record.data.get("class_names") or []
    are_numbers = list(names) == [str(number) for number in range(len(names))]
    return "" if are_numbers else ", ".join(f"{number} {html.escape(name)}" for number, name in enumerate(names))


@functools.cache
def _template() -> jinja2.Template:
    environment = templating.environment(__file__)
    environment.globals["table"] = table
    return environment.get_template("card.md")


def _training(published: Published) -> Iterator[tuple[str, str]]:
    """Yield the rows on the training: name and value."""
    record = published.record
    first, machine, versions = record.runs[0], record.machine, record.versions
    counts = ", ".join(f"{count:,} {role}" for role, count in record.data["counts"].items())
    yield "data", f"{html.escape(record.data['name'])}: {counts}"
    yield "command", f"`python experiments/run.py {shlex.join(record.command)}`"
    seeds = ", ".join(str(run.seed) for run in record.runs)
    yield "seeds", f"{seeds}; these weights: {first.seed}" if published.has_weights else seeds
    yield "epochs", "; ".join(dict.fromkeys(map(_epochs, record.runs)))
    yield "updates", "; ".join(dict.fromkeys(update_counts(run.updates) for run in record.runs))
    yield "time", f"{duration(60 * first.minutes)}; {devices(machine)}; {record.settings['precision']}"
    if resumed := sum(run.resumed for run in record.runs):
        yield "resumed", counted(resumed, "time")
    yield "latents", _latents(record)
    yield (
        "versions",
        f"keras_gen {versions['keras_gen']}, TensorFlow {versions['tensorflow']}, Keras {versions['keras']}",
    )


def devices(machine: Mapping) -> str:
    """Return the devices of a machine in words: its GPUs, or its processor and cores."""
    return ", ".join(machine.get("gpus") or [f"{counted(machine['cores'], 'core')} of {machine['processor']}"])


def _latents(record: Record) -> str:
    """Return the distribution of the latents of generated images in words."""
    if record.sampler in (None, "prior"):
        return "none" if record.sampler is None else "standard normal"
    per_class = "for each class, " if record.settings["overrides"].get("num_classes") else ""
    components = record.sampler.removeprefix("gmm-")
    return f"{per_class}a mixture of {components} Gaussians, fitted to the codes of the training images"


def _epochs(run: TrainedRun) -> str:
    early = f" of {run.planned_epochs}: {run.ended_early}" if run.planned_epochs else ""
    best = f", weights of epoch {run.evaluated_epoch}, the best" if run.evaluated_epoch != run.epochs else ""
    return f"{run.epochs}{early}{best}"


def _scores(published: Published) -> Iterator[dict[str, str]]:
    """Yield the rows of the table of scores and losses: their cells by column."""
    record = published.record
    for score in published.evaluation.scores:
        row = {"score": f"`{score.name}`", "value": measured(published, score.name)}
        row["better"] = DIRECTION[score.better]
        row["floor"] = "" if score.floor is None else significant(score.floor)
        if score.name in record.exported_scores:
            row[_STORED] = f"{significant(score.value)}, {significant(record.exported_scores[score.name])}"
        yield row | {"fingerprint": f"`{score.fingerprint}`"}
    for name in published.evaluation.losses:
        yield {"score": f"{name} of test images", "value": measured(published, name)}


def measured(published: Published, name: str, *, brief: bool = False) -> str:
    """Return a score or loss as text: mean and standard deviation over the trainings, or else its own spread.

    Args:
        published: the model.
        name: str, name of the score or loss.
        brief: bool, whether to leave out what the spread is over, and a spread that is not over trainings. Defaults to
            False.
    """
    record = published.record
    if math.isnan(mean := record.mean(name)):
        return "not measured"
    spread, over = record.spread(name), counted(len(record.values(name)), "training")
    if spread is None and not brief:
        own = next((score for score in published.evaluation.scores if score.name == name), None)
        spread, over = (own.spread, own.spread_over) if own and own.spread_over else (None, "")
    if spread is None:
        return significant(mean)
    return f"{significant(mean)} ± {significant(spread, digits=2)}" + ("" if brief else f" ({over})")


def _meanings(record: Record, scores: Sequence[Score]) -> Iterator[str]:
    measured_by = by_metric(scores)
    for metric, text in MEANINGS.items():
        if metric in measured_by:
            score = measured_by[metric]
            value, floor = record.mean(score.name), ""
            if score.floor is not None:
                floor = f" ({100 * score.floor:.0f} % for the same number of real images)"
            yield text.format(value=value, share=f"{100 * value:.0f} %", floor=floor)


def _requirements(published: Published) -> str:
    """Return the minimum scores that apply to the model and whether it reaches them; empty text if there are none."""
    if not (requirements := quality.requirements(published)):
        return ""
    missed = ", ".join(f"`{each.metric}` {significant(each.value)}" for each in requirements if not each.is_met)
    least = ", ".join(f"`{each.metric}` of at least {each.least}" for each in requirements)
    verdict = f"This model misses {missed}" if missed else "This model reaches all of them"
    return f"Models of digits should have {least}. {verdict}."


def update_counts(counts: Mapping[str, int]) -> str:
    """Return the numbers of updates in words.

    Args:
        counts: mapping of the columns of a history, such as `"g_updates"`, to numbers of updates.

    Example:
        >>> update_counts({"updates": 43000}), update_counts({"critic_updates": 4300, "g_updates": 860})
        ('43,000', '4,300 of the critic, 860 of the generator')
    """
    return ", ".join(f"{count:,}{_NETWORKS.get(column, f' {column}')}" for column, count in counts.items())


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table.

    Example:
        >>> print(table(["a", "b"], [["1", "2"]]))
        | a | b |
        |---|---|
        | 1 | 2 |
    """
    escaped = ([cell.replace("|", r"\|") for cell in cells] for cells in (header, *rows))
    lines = [f"| {' | '.join(cells)} |" for cells in escaped]
    return "\n".join([lines[0], f"|{'---|' * len(header)}", *lines[1:]])

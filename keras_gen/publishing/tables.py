"""Tables of published models: compared with the literature, ranked by their scores, and their gallery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from keras_gen.evaluation import protocol
from keras_gen.evaluation.score import Score, by_metric
from keras_gen.publishing import literature, quality, records
from keras_gen.publishing.cards import measured, table, update_counts
from keras_gen.publishing.literature import ReferenceValue
from keras_gen.publishing.records import Published
from keras_gen.utils import trained_models
from keras_gen.utils.text import counted, significant

GENERATED = ("fid", "precision", "recall", "density", "coverage", "confident", "mode_entropy")
RECONSTRUCTED = ("rec_fid", "reconstruction_mse", "reconstruction_psnr", "reconstruction_ssim")
"""Metrics of the rankings of models that generate images, and of those that reconstruct images, by the first metric."""

OF_A_MODEL = ("moving_average", "inputs", "generated_labels")
"""Entries of a protocol that are due to the model, such as binarized inputs: scores that differ in them are ranked."""

TWINS = {
    "keras-io-vae": ("vae-2d",),
    "keras-io-gan": ("gan-conv", "gan-jsd", "dcgan", "lsgan-conv"),
    "keras-io-gan-cifar10": ("gan-jsd-cifar10", "wgan-gp-cifar10", "sngan-cifar10"),
    "keras-io-wgan-gp": ("wgan-gp", "wgan-conv", "wgan-deep"),
    "plain-gan-conv": ("gan-conv",),
    "plain-vae-lstm": ("vae-lstm",),
    "plain-vae-mlp": ("vae-mlp",),
}
"""Models in Keras as its users write them (`experiments/zoo/stock_twins.py`), and the models compared with each."""

FOLDER = f"../{trained_models.FOLDER}"
"""Folder of the models, from the pages."""


def comparisons(models: Sequence[Published]) -> str:
    """Return a Markdown table of models beside published numbers, with both protocols; empty without such numbers."""
    by_name = {model.record.name: model for model in models}
    header = ("model", "data", "metric", "obtained", "reference", "its protocol", "same protocol?", "our training")
    rows = []
    for reference in literature.REFERENCES:
        if reference.model in by_name:
            model = by_name[reference.model]
            record = model.record
            rows.append(
                (
                    _link(model),
                    str(record.data["name"]),
                    reference.metric,
                    measured(model, reference.score),
                    f"{reference.value} ({reference.source})",
                    reference.protocol,
                    _is_same_protocol(model, reference),
                    f"{_minutes(model)}; updates: {update_counts(record.runs[0].updates)}",
                )
            )
    return table(header, rows) if rows else ""


def stock_comparisons(models: Sequence[Published]) -> str:
    """Return a Markdown table of models beside `TWINS`, by Fréchet distance; empty without any of these."""
    by_name = {model.record.name: model for model in models}
    pairs = ((by_name.get(twin), by_name.get(name)) for twin, names in TWINS.items() for name in names)
    described = ("Fréchet distance", "latents", "training images seen")
    header = ("twin", *described, "model", *described, "the model is")
    rows = [_beside(twin, model) for twin, model in pairs if twin and model and _distance(twin) and _distance(model)]
    return table(header, rows) if rows else ""


def _beside(twin: Published, model: Published) -> tuple[str, ...]:
    cells, values, spreads, protocols = [], [], [], set()
    for each in (twin, model):
        score = _distance(each)
        cells += [_link(each), measured(each, score.name), _latents(each), f"{_images_seen(each):,}"]
        values.append(each.record.mean(score.name))
        spreads.append(each.record.spread(score.name) or score.spread or 0.0)
        protocols.add(_shared_fingerprint(score))
    difference = values[1] - values[0]
    if len(protocols) > 1:
        verdict = "measured otherwise"
    elif abs(difference) <= max(spreads):
        verdict = "equal within the spread"
    else:
        verdict = "worse" if difference > 0 else "better"
        if min(len(each.record.runs) for each in (twin, model)) == 1:
            verdict += ", by one training"
    return *cells, verdict


def _distance(model: Published) -> Score | None:
    return by_metric(model.evaluation.scores).get("fid")


def _shared_fingerprint(score: Score) -> str:
    """Return the fingerprint of a protocol without what is due to the model."""
    return protocol.fingerprint({name: value for name, value in score.protocol.items() if name not in OF_A_MODEL})


def _images_seen(model: Published) -> int:
    """Return how many training images the first training of a model has seen, repetitions included."""
    return model.record.runs[0].epochs * model.record.data["counts"]["train"]


def best_models(models: Sequence[Published]) -> str:
    """Return a Markdown table of the best models of digits, and whether they are as good as they should be."""
    ratio = "Fréchet distance / that of real images"
    header = ("best of family", "model", "latents", ratio, "should be at most", "reached")
    rows = []
    for each in quality.best(models):
        conditional = ", with labels" if each.has_labels else ""
        ratio, most = significant(each.ratio, 3), significant(quality.LARGEST_RATIO[each.family])
        cells = (f"{each.family.upper()}{conditional}", _link(each.model), _latents(each.model), ratio, most)
        rows.append((*cells, "yes" if each.is_met else "no"))
    return table(header, rows) if rows else ""


def rankings(models: Sequence[Published]) -> Iterator[str]:
    """Yield a heading and a Markdown table for each data set and protocol: its models by Fréchet distance."""
    for data, group, used in _by_protocol(models, GENERATED[0]):
        images = f"{used['generated']:,} images, against {used['reference_count']:,}"
        yield f"### {data}, {images}, features of `{used['extractor']}`"
        floors = {metric: score.floor for metric, score in by_metric(group[0].evaluation.scores).items()}
        real_images = ("real images", *(_floor(floors.get(metric)) for metric in GENERATED), "", "", "")
        yield _ranked(group, GENERATED, real_images)


def reconstructions(models: Sequence[Published]) -> Iterator[str]:
    """Yield a heading and a Markdown table for each data set: its models by the distance of their reconstructions."""
    for data, group, used in _by_protocol(models, RECONSTRUCTED[0]):
        images = f"reconstructions of {used['generated']:,} {used['reference_split']} images"
        yield f"### {data}, {images}, features of `{used['extractor']}`"
        yield _ranked(group, RECONSTRUCTED)


def _by_protocol(models, metric) -> Iterator[tuple[str, list[Published], Mapping]]:
    """Yield the data set, the models and the protocol of each group of models whose scores of a metric share it."""
    groups: dict[tuple[str, str], list[Published]] = {}
    for model in models:
        score = by_metric(model.evaluation.scores).get(metric)
        if score is not None:
            groups.setdefault((str(model.record.data["name"]), _shared_fingerprint(score)), []).append(model)
    for (data, _), group in sorted(groups.items()):
        name = by_metric(group[0].evaluation.scores)[metric].name
        group.sort(key=lambda model, name=name: model.record.mean(name))
        yield data, group, by_metric(group[0].evaluation.scores)[metric].protocol


def _ranked(group: Sequence[Published], metrics: Sequence[str], *first_rows: tuple[str, ...]) -> str:
    name = by_metric(group[0].evaluation.scores)[metrics[0]].name
    columns = (metric.removeprefix("reconstruction_").replace("_", " ") for metric in metrics[1:])
    header = ("model", name, *columns, "latents", "size, MB", "minutes")
    return table(header, [*first_rows, *(_row(model, metrics) for model in group)])


def gallery(models: Sequence[Published]) -> Iterator[str]:
    """Yield the lines of the gallery: samples, latents and learning curve of each model but the `TWINS`."""
    for model in models:
        if model.record.name in TWINS:
            continue
        place = f"{FOLDER}/{model.path.name}"
        yield f"## {model.record.name}"
        yield f"[{model.record.summary}]({place}/README.md) {model.record.note}".rstrip()
        named = {records.SAMPLES_FILE: "images", records.LATENTS_FILE: "latents", records.CURVE_FILE: "learning curve"}
        yield "\n".join(
            f"![{what} of {model.record.name}]({place}/{file})"
            for file, what in named.items()
            if (model.path / file).is_file()
        )


def _is_same_protocol(model: Published, reference: ReferenceValue) -> str:
    """Return "yes", or "no" with what differs; empty text if that is not known, since the score was not measured."""
    differences = [reference.difference] if reference.difference else []
    if differences and (average := model.record.settings["overrides"].get("moving_average")):
        differences.append(f"a moving average of the weights ({average:g}) here")
    if not differences and not model.record.values(reference.score):
        return ""
    protocols = [score.protocol for score in model.evaluation.scores if score.name == reference.score]
    wanted = reference.ours if protocols else {}  # a loss has no protocol
    differences += [
        f"{name} {protocols[0].get(name)} here, {value} wanted"
        for name, value in wanted.items()
        if protocols[0].get(name) != value
    ]
    return f"no: {'; '.join(differences)}" if differences else "yes"


def _link(model: Published) -> str:
    return f"[`{model.record.name}`]({FOLDER}/{model.path.name}/README.md)"


def _row(model: Published, metrics: Sequence[str]) -> tuple[str, ...]:
    scores = by_metric(model.evaluation.scores)
    shown = [scores.get(metric) for metric in metrics]
    values = ["" if score is None else measured(model, score.name, brief=True) for score in shown]
    return _link(model), *values, _latents(model), _size(model), _minutes(model)


def _size(model: Published) -> str:
    if not model.has_weights:
        return "not published"
    size = sum(file.stat().st_size for pattern in ("*.pb", "variables/*") for file in model.path.glob(pattern)) / 1e6
    compressed = "" if model.record.rank is None else f", compressed to rank {model.record.rank}"
    return f"{significant(size, 2)}{compressed}"


def _floor(value: float | None) -> str:
    return "" if value is None else significant(value)


def _latents(model: Published) -> str:
    """Return the distribution of the latents of generated images: `prior`, or a mixture such as `gmm-10`."""
    return model.record.sampler or ""


def _minutes(model: Published) -> str:
    machine = model.record.machine
    devices = ", ".join(machine.get("gpus") or [counted(machine["cores"], "core")])
    return f"{significant(model.record.runs[0].minutes)} on {devices}"

"""Publish the model of one or several runs: a SavedModel with its record, scores, card and pictures."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
from keras_gen.evaluation import evaluator
from keras_gen.evaluation.score import of_generated
from keras_gen.models import PretrainedModel, export
from keras_gen.publishing import cards, finished_runs, pictures, protocols, records
from keras_gen.publishing.finished_runs import FinishedRun
from keras_gen.publishing.records import Published, Record, TrainedRun
from keras_gen.runs import run_directory
from keras_gen.runs.settings import PLACES
from keras_gen.utils import files, hub, trained_models
from keras_gen.utils.errors import UsageError, must_be

_NAME = re.compile(r"(?![Rr][1-5]$)[A-Za-z0-9][A-Za-z0-9._-]*")  # R1 to R5 are the reports that reproduce.py makes
_OF_A_PLACE_OF_DATA = ("origin", "requested")
_MAY_DIFFER = ("seed", "epochs", "dataset", *PLACES)
_OF_AN_EXPORT = ("functions", "half_precision", "num_classes", "rank", "sampler")
"""Entries of a SavedModel's description that `export.save` writes itself."""


def publish(
    runs: Sequence[str | os.PathLike],
    out: str | os.PathLike = "saved_models",
    *,
    name: str | None = None,
    note: str = "",
    license: str = "",
    rank: int | None = None,
    weights: bool = True,
    overwrite: bool = False,
    extractor_weights: str | None = None,
    **place: object,
) -> Path:
    """Write the trained model of finished and evaluated runs to the folder `out/name`.

    The folder holds a SavedModel with weights in float16, `evaluation.json`, `record.json`, `history.csv`, pictures and
    its card, `README.md`. The images that the float16 weights generate and reconstruct are scored as the run's were.

    Args:
        runs: sequence of paths of run directories with equal settings but the seed. The first is published, the others
            give the spread of its scores.
        out: str or path, folder of trained models. Defaults to `"saved_models"`.
        name: str, name of the model: letters, digits, `.`, `_` and `-`. Defaults to the recipe's.
        note: str, remark on the images, for the card. Defaults to none.
        license: str, license of the weights as model hubs spell it, such as `"apache-2.0"`. Defaults to none.
        rank: int or None, rank of the factors as which large matrices are stored, see `keras_gen.models.export.save`;
            the card says so. Only for models that generate images, so that the effect on their scores is measured.
            Defaults to None, exact matrices.
        weights: bool, whether to write the SavedModel. Without it, for a model that is too large or a baseline by
            others, the folder has the record, the scores, the pictures and the card. Defaults to True.
        overwrite: bool, whether to replace an older model of that name, its weights too. Defaults to False.
        extractor_weights: str or None, file of the weights of the scores' extractor, as in `EvaluationSettings`.
            Defaults to None.
        place: `dataset` and `data_dir`, where the data are now, as in `keras_gen.runs.load`.

    Returns:
        The path of the folder.

    Raises:
        UsageError: a run is not finished, or not evaluated as it is now, or the runs differ in more than the seed, or
            were measured under different protocols; or `rank` compresses nothing.
    """
    if not runs:
        raise must_be("runs", "at least one run directory", [])
    files_of_runs = [finished_runs.read(Path(run)) for run in runs]
    first = files_of_runs[0]
    _check_comparable(files_of_runs)
    name = first.settings.model if name is None else name
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        allowed = "letters, digits, '.', '_' and '-', beginning with a letter or a digit, but not R1 to R5"
        raise must_be("name", allowed, name)
    for argument, text in (("note", note), ("license", license)):
        if not isinstance(text, str):
            raise must_be(argument, "a text", text)
    path = Path(out) / name
    has_record = (path / records.RECORD_FILE).is_file()  # an older model, which may have no SavedModel
    marker = records.RECORD_FILE if has_record or not weights else export.SAVED_MODEL_FILE
    options = {"overwrite": overwrite, "marker": marker}
    files.check_can_write_directory(path, **options, argument="out")
    if rank is not None and not of_generated(first.evaluation.scores):
        raise must_be("rank", "None for a model without scores of generated images", rank)
    if rank is not None and not weights:
        raise must_be("rank", "None without weights", rank)
    opened = evaluator.open_run(first.path, **place)

    def write(folder: Path) -> None:
        description = export.description(first.path)
        description = {key: value for key, value in description.items() if key not in _OF_AN_EXPORT}
        exported = folder / "exported"
        export.save(opened.model, exported, half_precision=True, rank=rank, description=description)
        model = PretrainedModel(exported)
        record = _record(files_of_runs, model, name=name, note=note, license=license, rank=rank)
        if weights:
            scores = protocols.measure_again(model, opened.data, first.evaluation.scores, extractor_weights)
            record = dataclasses.replace(record, exported_scores=scores)
        files.write_json(folder / records.RECORD_FILE, record.to_json())
        shutil.copyfile(first.path / run_directory.HISTORY_FILE, folder / records.HISTORY_FILE)
        content = first.content | {"data": _without_place(first.content.get("data") or {})}
        files.write_json(folder / trained_models.EVALUATION_FILE, content)
        _write_pictures(folder, model, first.path, first.content["epoch"])
        if weights:
            for entry in exported.iterdir():
                entry.rename(folder / entry.name)
        shutil.rmtree(exported)
        files.write_text(folder / records.CARD_FILE, cards.card(Published(folder, record, first.evaluation)))

    return files.write_directory(path, write, **options, argument="out")


def push(path: str | os.PathLike, address: str, **options: object) -> None:
    """Upload a trained model to the Hugging Face hub, with its record and card.

    huggingface_hub has the token: log in with its command `hf auth login`, or set `$HF_TOKEN`.

    Args:
        path: str or path, the folder of a published model, or a finished and evaluated run, which is published first.
        address: str, such as `"hf://user/vae-mlp"`; the repository is made if it does not exist.
        options: for a run, arguments of `publish` but `name` and `out`, such as `note` and `license`.

    Raises:
        UsageError: as in `publish`; the address has another form, huggingface_hub is not installed, or the upload
            fails.
    """
    name = hub.repository(address).partition("/")[2]
    hub.check_installed()
    if (Path(path) / records.RECORD_FILE).is_file():
        if options:
            raise must_be("options", f"left out, since {path} is already published", ", ".join(options))
        if not (published := records.read(path)).has_weights:
            raise must_be("path", "a published model with its weights", str(path))
        hub.upload(published.path, address)
        return
    if given := sorted({"name", "out"} & options.keys()):
        raise must_be(given[0], f"left out, since the address names the model {name}", options[given[0]])
    if not options.get("weights", True):
        raise must_be("weights", "True for a model to upload", False)
    with tempfile.TemporaryDirectory() as folder:
        hub.upload(publish([path], folder, name=name, **options), address)


def _check_comparable(runs: Sequence[FinishedRun]) -> None:
    """Check that runs differ in nothing but their seeds, and were measured under the same protocols."""
    kept = []
    for run in runs:
        kept.append({key: value for key, value in run.settings.to_json().items() if key not in _MAY_DIFFER})
        kept[-1] |= {"overrides": run.settings.arguments(), "epochs": run.planned_epochs or run.settings.epochs}
        kept[-1] |= {"data": run.record["data"].get("fingerprint")}
        kept[-1] |= {f"protocol of {score.name}": score.fingerprint for score in run.evaluation.scores}
    different = [key for key in kept[0] if any(each.get(key) != kept[0][key] for each in kept)]
    if different:
        raise must_be("runs", "runs that differ only in their seeds", f"different {', '.join(different)}")
    if len({run.settings.seed for run in runs}) < len(runs):
        raise must_be("runs", "runs of different seeds", [run.settings.seed for run in runs])


def _record(runs: Sequence[FinishedRun], model: PretrainedModel, **own: object) -> Record:
    """Return the record of a published model, without scores of its stored weights; `own` is what its author chose."""
    first = runs[0]
    described = _without_place(first.record["data"])
    settings = records.without_place(first.settings, described)
    return Record(
        recipe=settings.model,
        summary=settings.recipe.summary,
        source=settings.recipe.source,
        settings=settings.to_json() | {"overrides": settings.arguments()},  # not the defaults of another version
        command=records.command_of(settings, first.planned_epochs),
        data=described,
        machine=first.record["machine"],
        versions=first.record["versions"],
        sampler=str(first.content.get("sampler", "prior")) if "generate" in model.functions else None,
        runs=[_trained(run) for run in runs],
        exported_scores={},
        **own,
    )


def _without_place(description: dict) -> dict:
    """Return the description of a data set without where it was on this machine."""
    return {key: value for key, value in description.items() if key not in _OF_A_PLACE_OF_DATA}


def _trained(run: FinishedRun) -> TrainedRun:
    """Return what a run was and reached."""
    epoch = run.content["epoch"]
    ended = run.record.get(run_directory.ENDED_EARLY) or {}
    return TrainedRun(
        seed=run.settings.seed,
        epochs=run.settings.epochs,
        planned_epochs=run.planned_epochs,
        ended_early=ended.get("reason"),
        evaluated_epoch=epoch,
        minutes=round(sum(row.get("seconds", 0.0) for row in run.history) / 60, 2),
        updates={key: value for key, value in run.history[epoch - 1].items() if key.endswith("updates")},
        resumed=len(run.record.get("resumed", ())),
        losses=run.evaluation.losses,
        scores={score.name: score.value for score in run.evaluation.scores},
    )


def _write_pictures(folder: Path, model: PretrainedModel, run: Path, epoch: int) -> None:
    """Write the pictures; of a model that generates no images, the run's grid of reconstructions after the epoch."""
    pictures.write_curve(folder / records.HISTORY_FILE, folder / records.CURVE_FILE)
    pictures.write_latents(model, folder / records.LATENTS_FILE)
    if "generate" in model.functions:
        pictures.write_samples(model, folder / records.SAMPLES_FILE)
        return
    grid = run / run_directory.RECONSTRUCTIONS_FOLDER / f"epoch-{epoch:05d}.png"
    if not grid.is_file():
        raise UsageError(f"run {run} must have reconstructions after epoch {epoch}: train it with --samples-every 1")
    shutil.copyfile(grid, folder / records.SAMPLES_FILE)

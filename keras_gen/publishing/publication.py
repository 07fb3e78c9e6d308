"""Publish the model of one or several runs: a SavedModel with its record, scores, card and a picture."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
from keras_gen.evaluation import evaluator, results
from keras_gen.evaluation.score import Score
from keras_gen.models import PretrainedModel, export
from keras_gen.publishing import cards, pictures, protocols, records
from keras_gen.publishing.records import Published, Record, TrainedRun
from keras_gen.runs import hints, history, run_directory
from keras_gen.runs.settings import RunSettings
from keras_gen.utils import files, trained_models
from keras_gen.utils.errors import UsageError, must_be

_OF_A_PLACE = dict.fromkeys(("data_dir", "extractor_weights"))
_OF_A_RUN = ("seed", "epochs", "dataset", "data_dir")


def publish(
    runs: Sequence[str | os.PathLike],
    out: str | os.PathLike = "saved_models",
    *,
    name: str | None = None,
    note: str = "",
    overwrite: bool = False,
    **place: object,
) -> Path:
    """Write the trained model of finished and evaluated runs to the folder `out/name`.

    The folder holds a SavedModel with weights in float16, `evaluation.json`, `record.json`, `history.csv`, pictures and
    its card, `README.md`. If the model generates images, the float16 weights are scored as the run was.

    Args:
        runs: sequence of paths of run directories with equal settings but the seed. The first is published, the others
            give the spread of its scores.
        out: str or path, folder of trained models. Defaults to `"saved_models"`.
        name: str, name of the model. Defaults to the recipe's.
        note: str, what a look at the images shows, for the card. Defaults to none.
        overwrite: bool, whether to replace an older model of that name. Defaults to False.
        place: `dataset` and `data_dir`, where the data are now, as in `keras_gen.runs.load`.

    Returns:
        The path of the folder.

    Raises:
        UsageError: a run is not finished or not evaluated, or the runs differ in more than the seed.
    """
    runs = [Path(run) for run in runs]
    if not runs:
        raise must_be("runs", "at least one run directory", [])
    trained = [_trained(run) for run in runs]
    _check_same_settings(runs)
    record = run_directory.read_recipe(runs[0])
    settings = RunSettings.from_json(record["settings"], str(runs[0]))
    name = settings.model if name is None else name
    if Path(name).name != name:
        raise must_be("name", "a name without a folder", name)
    path = Path(out) / name
    files.check_can_write_directory(path, overwrite=overwrite, marker=export.SAVED_MODEL_FILE, argument="out")
    opened = evaluator.open_run(runs[0], **place)
    content = run_directory.read_json(runs[0] / trained_models.EVALUATION_FILE)
    if opened.position.epoch != trained[0].evaluated_epoch:
        raise UsageError(f"run {runs[0]} was measured after another epoch: measure it again: {hints.evaluate(runs[0])}")
    evaluation = results.read(runs[0])
    data = {key: value for key, value in record["data"].items() if key not in ("origin", "requested")}
    settings = RunSettings.from_json(settings.to_json() | {"dataset": data["name"]} | _OF_A_PLACE, str(runs[0]))

    def write(folder: Path) -> None:
        description = export.description(runs[0])
        own = ("functions", "half_precision", "num_classes", "sampler")
        description = {key: value for key, value in description.items() if key not in own}
        exported = export.save(opened.model, folder / "exported", half_precision=True, description=description)
        for entry in exported.iterdir():
            entry.rename(folder / entry.name)
        exported.rmdir()
        model = PretrainedModel(folder)
        made = Record(
            name=name,
            recipe=settings.model,
            summary=settings.recipe.summary,
            source=settings.recipe.source,
            settings=settings.to_json(),
            command=settings.words(only_changed=True),
            data=data,
            machine=record["machine"],
            versions=record["versions"],
            sampler=content["sampler"] if "generate" in model.functions else None,
            runs=trained,
            exported_scores=_exported_scores(model, opened.data, evaluation.scores),
            note=note,
        )
        files.write_json(folder / records.RECORD_FILE, made.to_json())
        shutil.copyfile(runs[0] / run_directory.HISTORY_FILE, folder / records.HISTORY_FILE)
        shutil.copyfile(runs[0] / trained_models.EVALUATION_FILE, folder / trained_models.EVALUATION_FILE)
        _write_pictures(folder, model, runs[0])
        files.write_text(folder / records.CARD_FILE, cards.card(Published(folder, made, evaluation)))

    return files.write_directory(path, write, overwrite=overwrite, marker=export.SAVED_MODEL_FILE, argument="out")


def _trained(run: Path) -> TrainedRun:
    """Return what a run was and reached."""
    record, evaluation = run_directory.read_recipe(run), results.read(run)
    epochs = record["settings"]["epochs"]
    if run_directory.finished_epochs(run) != epochs:
        raise UsageError(f"run {run} is not finished: {hints.resume(run)}")
    rows = history.read(run / run_directory.HISTORY_FILE)
    evaluated = run_directory.read_json(run / trained_models.EVALUATION_FILE)["epoch"]
    ended = record.get(run_directory.ENDED_EARLY) or {}
    return TrainedRun(
        seed=record["settings"]["seed"],
        epochs=epochs,
        planned_epochs=run_directory.planned_epochs(record),
        ended_early=ended.get("reason"),
        evaluated_epoch=evaluated,
        minutes=round(sum(row["seconds"] for row in rows) / 60, 1),
        updates={key: value for key, value in rows[evaluated - 1].items() if key.endswith("updates")},
        resumed=len(record.get("resumed", ())),
        losses=evaluation.losses,
        scores={score.name: score.value for score in evaluation.scores},
    )


def _check_same_settings(runs: Sequence[Path]) -> None:
    kept = []
    for run in runs:
        record = run_directory.read_recipe(run)
        kept.append({key: value for key, value in record["settings"].items() if key not in _OF_A_RUN})
        kept[-1] |= {"data": record["data"]["name"], "images": record["data"]["counts"]}
    different = [key for key in kept[0] if any(each.get(key) != kept[0][key] for each in kept)]
    if different:
        raise must_be("runs", "runs that differ in nothing but their seeds", f"different {', '.join(different)}")
    seeds = [run_directory.read_recipe(run)["settings"]["seed"] for run in runs]
    if len(set(seeds)) < len(seeds):
        raise must_be("runs", "runs of different seeds", seeds)


def _exported_scores(model: PretrainedModel, data, scores: Sequence[Score]) -> dict[str, float]:
    """Return the scores of a trained model's images, under the protocol of the run's scores."""
    if not records.of_generated(scores):
        return {}
    found, _ = evaluator.score_generated(model, data, protocols.settings_of(scores))
    expected = {score.name: score.fingerprint for score in scores}
    return {score.name: score.value for score in found if expected.get(score.name) == score.fingerprint}


def _write_pictures(folder: Path, model: PretrainedModel, run: Path) -> None:
    """Write the pictures; of a model that generates no images, the run's last grid of reconstructions."""
    pictures.write_curve(folder / records.HISTORY_FILE, folder / records.CURVE_FILE)
    pictures.write_latents(model, folder / records.LATENTS_FILE)
    if "generate" in model.functions:
        pictures.write_samples(model, folder / records.SAMPLES_FILE)
        return
    grids = sorted((run / run_directory.RECONSTRUCTIONS_FOLDER).glob("epoch-*.png"))
    if not grids:
        raise UsageError(f"run {run} must have grids of reconstructions: train it with --samples-every")
    shutil.copyfile(grids[-1], folder / records.SAMPLES_FILE)

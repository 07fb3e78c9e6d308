"""Make a report again: train what it needs, measure it, and write its page."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
from keras_gen import evaluation
from keras_gen.evaluation import results
from keras_gen.publishing import records
from keras_gen.publishing.cards import devices, update_counts
from keras_gen.publishing.reports import experiments, pages, record, registry
from keras_gen.publishing.reports.exhibits import Exhibits
from keras_gen.publishing.reports.experiments import Experiment, Trained
from keras_gen.publishing.reports.record import ReportRecord, Table
from keras_gen.report.pages import comparison_page
from keras_gen.report.pages.comparison_page import COMPARISON_FILE
from keras_gen.runs import run_directory
from keras_gen.runs.settings import RunSettings
from keras_gen.training import sweeps
from keras_gen.utils import files, safe_files
from keras_gen.utils.command_lines import command
from keras_gen.utils.errors import UsageError, must_be, suggestion
from keras_gen.utils.progress import print_line
from keras_gen.utils.text import counted, significant

PLAN_FILE, RECORD_FOLDER = "reproduction.json", "report"
PAGE_FILE = "report.html"


def start(
    name: str,
    out: str | os.PathLike = "reports",
    *,
    quick: bool = False,
    use: Mapping[str, str | os.PathLike] | None = None,
    data_dir: str | os.PathLike | None = None,
) -> Path:
    """Make the next numbered directory for a report, as a sweep of what must be trained; train nothing yet.

    Args:
        name: str, name of the report, one of `keras_gen.publishing.reports.NAMES`.
        out: str or path, folder of such directories. Defaults to `"reports"`.
        quick: bool, whether to train on `digits`, in minutes, in place of the report's data. Defaults to False.
        use: mapping of names of trainings to finished and evaluated run directories or published models that take their
            place. Defaults to none.
        data_dir: str or path, folder that holds the data. Defaults to `$KERAS_GEN_DATA`.

    Returns:
        The directory, for `finish`.

    Raises:
        UsageError: there is no report of that name or no training of a name in `use`, or one of its paths is neither a
            run that is finished and evaluated nor a published model, or has another recipe, hyperparameters or data.
    """
    planned = _planned(name)
    use = {key: Path(path) for key, path in (use or {}).items()}
    for key, path in use.items():
        if key not in planned:
            raise must_be("use", f"one of {', '.join(planned)}", f"{key}{suggestion(key, planned)}")
        planned[key].check(path, experiments.read(path), quick=quick)
    place = None if data_dir is None else os.path.abspath(data_dir)
    missing = {key: each.planned(quick=quick, data_dir=place) for key, each in planned.items() if key not in use}
    if not quick and (published := experiments.published_for([planned[key] for key in missing])):
        options = " ".join(f"--use {shlex.quote(f'{key}={model}')}" for key, model in published.items())
        print_line(f"published models can take the place of these trainings, but have no image grids: {options}")
    if missing:
        plan = sweeps.RunList(list(missing), list(missing.values()), name)
        path = sweeps.create(plan, out).path
    else:
        path = run_directory.create(out, name)
    used = {key: str(each.absolute()) for key, each in use.items()}
    files.write_json(path / PLAN_FILE, {"report": name, "quick": quick, "use": used})
    return path


def finish(
    path: str | os.PathLike, commands: sweeps.Commands, *, name: str | None = None, data_dir: str | None = None
) -> Path:
    """Train what is missing in a directory of `start`, measure it and write the page; resume what was interrupted.

    Args:
        path: str or path, the directory.
        commands: Commands, the command lines that train, as in `keras_gen.training.sweeps.run`.
        name: str or None, name of the report that it must be. Defaults to None, any.
        data_dir: str or None, folder that holds the data. Defaults to None, where they were.

    Returns:
        The path of the page. `report.json` and the pictures are in the folder `report` beside it, and a page that
        compares the runs is in `comparison.html`.

    Raises:
        UsageError: `path` is no such directory, or of another report, or a training failed.
        SweepInterrupted: Ctrl-C, SIGTERM or SIGHUP.
    """
    path = Path(path)
    report, quick, use = _read_plan(path)
    if name not in (None, report):
        raise must_be("path", f"a directory of {name}", f"{path}, of {report}")
    planned = _planned(report)
    if any(key not in use for key in planned):
        sweep = sweeps.resume(path, commands)
        if failed := [f"{member.label}: {member.error}" for member in sweep.members if not member.is_finished]:
            hint = resume_command(report, path, data_dir)
            raise UsageError(f"{counted(len(failed), 'training')} failed: {'; '.join(failed)}; resume with: {hint}")
        use |= {str(member.values["run"]): member.run for member in sweep.members}
    for key in planned:
        _measure(Path(use[key]), data_dir)
    trained = {key: experiments.read(use[key]) for key in planned}
    folder = path / RECORD_FOLDER
    folder.mkdir(exist_ok=True)
    shown = Exhibits(folder, data_dir)
    registry.report(report).show(trained, shown)
    found = ReportRecord(
        name=report,
        quick=quick,
        minutes=sum(each.minutes for each in trained.values()),
        machine=", ".join(dict.fromkeys(devices(each.machine) for each in trained.values())),
        trainings=_trainings({key: each.planned(quick=quick) for key, each in planned.items()}, trained),
        values=shown.values,
        tables=shown.tables,
        pictures=shown.pictures,
    )
    files.write_json(folder / record.RECORD_FILE, found.to_json())
    files.write_text(path / PAGE_FILE, pages.html(found, folder))
    if runs := list(dict.fromkeys(each.path for each in trained.values() if not _is_published(each.path))):
        comparison_page.write(runs, path / COMPARISON_FILE)
    return path / PAGE_FILE


def resume_command(name: str, path: str | os.PathLike, data_dir: str | None) -> str:
    """Return the command that resumes the directory of a report."""
    return command("reproduce", name, "--resume", path, *([] if data_dir is None else ["--data-dir", data_dir]))


def _planned(name: str) -> dict[str, Experiment]:
    return {each.name: each for each in registry.report(name).experiments()}


def _read_plan(path: Path) -> tuple[str, bool, dict[str, str]]:
    try:
        plan = safe_files.read_json(path / PLAN_FILE)
        return plan["report"], bool(plan["quick"]), dict(plan["use"])
    except OSError as error:
        raise must_be("path", f"a directory with {PLAN_FILE}", str(path)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path / PLAN_FILE} is damaged: {error!r}") from error


def _measure(path: Path, data_dir: str | None) -> None:
    """Evaluate a run that is not evaluated yet."""
    if not _is_published(path) and not (path / results.EVALUATION_FILE).is_file():
        print_line(f"evaluating {path}")
        evaluation.evaluate(path, data_dir=data_dir)


def _is_published(path: Path) -> bool:
    return (path / records.RECORD_FILE).is_file()


def _trainings(planned: Mapping[str, RunSettings], trained: Mapping[str, Trained]) -> Table:
    rows = []
    for key, each in trained.items():
        last = each.history[-1]
        counts = update_counts({name: value for name, value in last.items() if name.endswith("updates")})
        words = records.command_of(records.without_place(each.settings, each.data), each.planned_epochs)
        planned_epochs = planned[key].epochs
        epochs = f"{last['epoch']}" + ("" if last["epoch"] == planned_epochs else f" of {planned_epochs}")
        rows.append((key, f"`run.py {shlex.join(words)}`", epochs, counts, significant(each.minutes, 3)))
    return Table(("training", "command", "epochs", "updates", "minutes"), rows)

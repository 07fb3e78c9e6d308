"""The five course reports, made again: their trainings, their record, and their pages."""

import dataclasses
import json
import re
import shutil

import pytest
from command_helpers import call

from keras_gen import UsageError, evaluation, training
from keras_gen.commands.sweep import COMMANDS
from keras_gen.publishing import reports
from keras_gen.publishing.reports import exhibits, experiments, making, pages, record, registry
from keras_gen.publishing.reports.experiments import Experiment
from keras_gen.publishing.reports.record import ReportRecord, Table
from keras_gen.runs.settings import RunSettings
from keras_gen.training import sweeps


SMALL = {"dataset": "digits", "samples_every": 1, "sample_count": 4, "fid_images": 20}


class SmallReport:
    """A report of two trainings of a second."""

    TITLE = "Two trainings"

    @staticmethod
    def experiments():
        settings = RunSettings("vae-mlp", {"hidden": 8}, epochs=3, **SMALL)
        return [
            Experiment("short", settings, 2),
            Experiment("long", dataclasses.replace(settings, seed=1), 3),
        ]

    @staticmethod
    def show(trained, shown):
        shown.values["loss"] = trained["long"].value("loss")
        shown.tables["scores"] = exhibits.scores(trained)
        shown.tables["last"] = exhibits.last_values(trained, ["loss", "val_loss", "emd"])
        shown.tables["distances"] = exhibits.by_epoch(trained["long"], ["epoch", "fd_lenet"])
        shown.losses("losses", trained["short"])
        shown.generated("samples", trained["short"], 20)
        shown.reconstructed("reconstructed", trained["short"], 5)
        shown.through_training("through-training", trained["long"], [1, 3, 99])
        shown.through_training("absent", trained["long"], [99])
        shown.reconstructions_through_training("rebuilt", trained["long"], [1, 3])


@pytest.fixture
def small_report(monkeypatch, tmp_path):
    """The small report in the place of R2, with a template of its own."""
    (tmp_path / "r2.md").write_text(
        "### Losses\n\n**Here** {{ loss | number }} nats, `code`, <script>.\n\n{{ table('scores') }}\n\n"
        "{{ picture('losses', 'Losses [of](one) run') }}{{ picture('absent', 'nothing') }}\n\n### More\n\nText.\n"
    )
    monkeypatch.setattr(registry, "report", lambda name: SmallReport)
    environment = pages._environment()
    monkeypatch.setattr(environment, "loader", pages.jinja2.FileSystemLoader(tmp_path))
    environment.cache.clear()
    yield
    environment.cache.clear()


TEXTS = {
    "R1": [("vae-lstm", 100, 256, None), ("gan-conv", 100, 128, None), ("wgan-conv", 100, 64, None)],
    "R2": [("vae-mlp", 50, 64, 16), ("gan-mlp", 50, 64, 16)],
    "R3": [("vae-conv", 20, 128, 100), ("lsgan-conv", 20, 64, 100), ("wgan-deep", 20, 64, 100)],
    "R4": [("vae-2d", 7, 16, 2), ("ae-conv", 20, 200, None), ("dae-conv", 100, 200, None), ("dcgan", 20, 64, 100)],
    "R5": [
        *(("vae-dense", epochs, 128, size) for size, epochs in ((2, 20), (64, 20), (64, 100))),
        *(("gan-jsd-cifar10", epochs, 64, size) for size, epochs in ((64, 20), (512, 20), (512, 100))),
        *(("wgan-gp", epochs, 64, size) for size, epochs in ((2, 20), (64, 20), (64, 100))),
    ],
}
"""Recipe, epochs, batch size and latent size of trainings, as the reports have them or we completed them."""


@pytest.mark.parametrize("name", reports.NAMES)
def test_each_report_has_its_trainings(name):
    planned = registry.report(name).experiments()
    assert len({each.name for each in planned}) == len(planned) >= 2
    for quick in (False, True):
        settings = [each.planned(quick=quick) for each in planned]
        sweeps.RunList([each.name for each in planned], settings)  # no two are the same run
        assert all((each.dataset == "digits") == quick for each in settings)
        if not quick:
            found = [
                (each.model, each.epochs, each.batch_size, each.arguments().get("latent_dim")) for each in settings
            ]
            for model, epochs, batch_size, latent_dim in TEXTS[name]:
                sizes = [size for *rest, size in found if rest == [model, epochs, batch_size]]
                assert sizes and (latent_dim is None or latent_dim in sizes), model
    assert registry.report(name).TITLE
    assert (pages.Path(pages.__file__).parent / "templates" / f"{name.lower()}.md").is_file()


@pytest.fixture(scope="module")
def long_run(tmp_path_factory):
    """A finished and evaluated run of the small report's longer training."""
    return evaluated_run(SmallReport.experiments()[1].settings, tmp_path_factory.mktemp("runs"))


def evaluated_run(settings, out):
    run = training.run(settings, out=out)
    evaluation.evaluate(run, evaluation.EvaluationSettings(likelihood_images=0))
    return run


def test_a_report_is_trained_measured_and_written_and_can_be_resumed(small_report, long_run, tmp_path):
    path = reports.start("R2", tmp_path / "out", quick=True, use={"long": long_run})
    assert path.name == "00001-R2"
    page = reports.finish(path, COMMANDS)
    found = reports.read(path / "report")
    assert ReportRecord.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert (found.name, found.quick) == ("R2", True)
    assert found.pictures == ["losses", "samples", "reconstructed", "through-training", "rebuilt"]
    assert all((path / "report" / f"{name}.png").is_file() for name in found.pictures)
    assert [row[0] for row in found.trainings.rows] == ["short", "long"]
    assert [row[2] for row in found.trainings.rows] == ["2", "3"]
    assert "--epochs=2" in found.trainings.rows[0][1]
    scores, last = found.tables["scores"], found.tables["last"]
    assert scores.header[:2] == ["", "Fréchet distance"]
    assert [row[0] for row in scores.rows] == ["short", "long", "real images"]
    assert "features of lenet" in scores.caption
    assert last.header == ["", "loss", "val_loss"]  # there is no emd
    assert [row[0] for row in found.tables["distances"].rows] == ["3"]  # the only epoch that is scored
    content = page.read_text(encoding="utf-8")
    assert "R2: Two trainings" in content and 'href="#losses"' in content
    assert "<code>code</code>" in content and "&lt;script&gt;" in content and "<script>" not in content
    assert (
        content.count('src="data:image/png')
        == content.count('(prefers-color-scheme: dark)" srcset="data:image/png')
        == 1
    )
    assert "<td>short</td>" in content and '<th scope="col">' in content
    assert content.count("<table>") == content.count('tabindex="0"><table>') == content.count("</table></div>") == 2
    assert (path / "comparison.html").is_file()
    history = path / "runs" / "00001-vae-mlp" / "history.csv"
    modified = history.stat().st_mtime_ns
    (path / "runs" / "00001-vae-mlp" / "evaluation.json").unlink()
    assert reports.finish(path, COMMANDS, name="R2") == page  # nothing is trained again, but measured
    assert history.stat().st_mtime_ns == modified
    with pytest.raises(UsageError, match="path must be a directory of R3, received: .*, of R2"):
        reports.finish(path, COMMANDS, name="R3")


def test_finished_runs_take_the_place_of_all_trainings(small_report, long_run, tmp_path):
    short_run = evaluated_run(dataclasses.replace(SmallReport.experiments()[0].settings, epochs=1), tmp_path)
    path = reports.start("R2", tmp_path, quick=True, use={"short": short_run, "long": long_run})
    found = reports.read(reports.finish(path, COMMANDS).parent / "report")
    assert [row[2] for row in found.trainings.rows] == ["1 of 2", "3"]
    assert not (path / "sweep.json").exists()
    with pytest.raises(UsageError, match=r"use must be one of short, long, received: .*did you mean 'short'"):
        reports.start("R2", tmp_path, use={"shrt": long_run})
    with pytest.raises(UsageError, match="use short must be trained with epochs 2, received: .*, with epochs 3"):
        reports.start("R2", tmp_path, quick=True, use={"short": long_run})


def test_published_models_that_can_take_the_place_of_trainings_are_named(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("KERAS_GEN_MODELS", raising=False)
    reports.start("R5", tmp_path)
    [line] = [line for line in capsys.readouterr().out.splitlines() if "--use" in line]
    found = dict(word.split("=") for word in line.split() if "=" in word)
    assert {"mnist-vae-64-100", "mnist-gan-64-100"} <= found.keys()
    assert "mnist-gan-64-20" not in found  # it has more epochs
    assert found["mnist-gan-64-100"].endswith("saved_models/gan-jsd")


def test_what_takes_the_place_of_a_training_must_be_evaluated_and_of_its_recipe(long_run, tmp_path):
    assert experiments.read(long_run).value("loss") > 0
    wrong = (
        "use gan must be trained with recipe gan-mlp, .*, data mnist, received: .*, with recipe vae-mlp, .*data digits"
    )
    with pytest.raises(UsageError, match=wrong):
        reports.start("R2", tmp_path / "out", use={"gan": long_run})
    with pytest.raises(
        UsageError, match="use vae must be trained with hidden 300, data mnist, received: .*hidden 8, data"
    ):
        reports.start("R2", tmp_path / "out", use={"vae": long_run})
    copy = shutil.copytree(long_run, tmp_path / "copy")
    (copy / "evaluation.json").unlink()
    with pytest.raises(UsageError, match="evaluat"):
        reports.start("R2", tmp_path / "out", use={"vae": copy})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "folder must be a folder with report.json"), ("{}", "is damaged"), ("[1", "damaged|JSON")],
)
def test_a_damaged_record_is_named(content, message, tmp_path):
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    with pytest.raises(UsageError, match=message):
        record.read(tmp_path)


def test_a_table_in_markdown_has_its_caption():
    table = Table(("", "a"), [("x", "1")], "numbers")
    assert pages._table(table) == "numbers:\n\n|  | a |\n|---|---|\n| x | 1 |"


def test_rank_correlation_uses_the_epochs_that_have_both_columns():
    class Rows:
        history = [
            {"a": 1.0, "b": 5.0},
            {"a": 2.0},
            {"a": 3.0, "b": float("nan")},
            {"a": 4.0, "b": 7.0},
            {"a": 5.0, "b": 6.0},
        ]

    value, count = exhibits.rank_correlation(Rows, "a", "b")
    assert (value, count) == (pytest.approx(0.5), 3)  # ranks 1, 2, 3 and 1, 3, 2
    assert exhibits.rank_correlation(Rows, "a", "c") == (None, 0)


def test_the_command_refuses_what_is_for_the_other_kind(tmp_path):
    outcome = call("reproduce", "R2", "--seed", "1")
    assert outcome.code == 2 and "--seed can't be used here: it is for a published model" in outcome.err
    outcome = call("reproduce", "vae-mlp", "--quick")
    assert outcome.code == 2 and "--quick can't be used here: it is for a report" in outcome.err
    outcome = call("reproduce", "R2", "--use", "vae")
    assert outcome.code == 2 and "--use must be training=path, received: 'vae'" in outcome.err
    outcome = call("reproduce", "R2", "--use", "vae=1", "--use", "vae=2")
    assert outcome.code == 2 and "vae is given twice" in outcome.err
    outcome = call("reproduce", "R2", "--resume", tmp_path)
    assert outcome.code == 2 and "reproduction.json" in outcome.err
    outcome = call("reproduce", "R2", "--resume", tmp_path, "--quick")
    assert outcome.code == 2 and "--quick can't be used here: a resumed call keeps its own settings" in outcome.err


@pytest.mark.slow
@pytest.mark.parametrize("name", reports.NAMES)
def test_every_report_can_be_made_quickly(name, tmp_path):
    page = reports.finish(reports.start(name, tmp_path, quick=True), COMMANDS)
    text = reports.markdown(reports.read(page.parent / "report"))
    assert not re.findall(r"\b(None|nan|inf)\b", text)
    shown = set(re.findall(r"\(\./(.*?)\.png\)", text))
    assert shown == set(reports.read(page.parent / "report").pictures)
    assert making.COMPARISON_FILE in {path.name for path in page.parent.iterdir()}

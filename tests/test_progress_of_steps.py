"""Long steps report their progress."""

import dataclasses
import sys
import threading
import types

import numpy as np
import progress_helpers
import pytest
from data_helpers import gray, write_image
from scorer_helpers import NoiseModel, QuadrantExtractor, squares

import keras_gen
from keras_gen import data
from keras_gen.evaluation import Reference, Scorer
from keras_gen.metrics.extractors import weight_files
from keras_gen.training import sweeps
from keras_gen.utils import progress

bars_are_not_forbidden, clock = progress_helpers.bars_are_not_forbidden, progress_helpers.clock
log, terminal = progress_helpers.log, progress_helpers.terminal


@pytest.fixture
def slow(clock):
    """Make each reading of the clock advance it by four seconds, so that all steps are long."""
    clock.each = 4.0


def headings(log):
    assert "\r" not in log.err
    return {line.partition(":")[0] for line in log.lines}


def test_a_folder_tells_how_many_images_it_has_read(slow, log, tmp_path):
    for index in range(20):
        write_image(tmp_path / "folder" / f"{index}.png", gray(index))
    data.load(tmp_path / "folder")
    assert headings(log) == {"inspecting image files", "reading image files"}
    assert "reading image files: 20 of 20 images (100 %)" in log.err


def test_resizing_tells_how_far_it_is(slow, log, tmp_path):
    np.savez(tmp_path / "a.npz", x_train=np.zeros((30, 8, 8), np.uint8), x_test=np.zeros((5, 8, 8), np.uint8))
    data.load(tmp_path / "a.npz", image_size=4)
    assert "resizing images" in headings(log)


def test_an_extractor_tells_of_its_batches(slow, log):
    QuadrantExtractor()(squares(100), batch_size=10)
    assert headings(log) == {"features by lenet"}
    assert log.lines[-1].startswith("features by lenet: 100 of 100 images (100 %)")


def test_scores_tell_of_real_images_generated_ones_and_measures(slow, log):
    real = Reference(squares(600), QuadrantExtractor(), cache=False)
    held_out = Reference(squares(600, seed=1), real.extractor, split="test", cache=False)
    scorer = Scorer(real, ("fid", "precision_recall"), num_images=500, held_out=held_out)
    scores = scorer.score(NoiseModel())
    assert headings(log) == {
        "features of train images",
        "features of generated images",
        "scores of generated images",
    }
    scorer.floors()
    assert {"features of held-out images", "scores of held-out images"} <= headings(log)
    assert "features of generated images: 500 of 500 images (100 %)" in log.err
    assert [score.value for score in scores] == [score.value for score in scorer.score(NoiseModel())]


def test_features_of_chunks_are_counted_together(slow, log):
    Reference(squares(2500), QuadrantExtractor(), cache=False).extract_once()
    counts = [int(line.split()[4].replace(",", "")) for line in log.lines]
    assert headings(log) == {"features of train images"}
    assert counts == sorted(counts) and counts[-1] == 2500 and len(counts) > 3


def small_vae(**options):
    encoder = keras_gen.networks.mlp_encoder((8, 8, 1), latent_dim=2)
    return keras_gen.VAE(encoder, keras_gen.networks.mlp_decoder((8, 8, 1), latent_dim=2), **options)


def test_a_vae_tells_of_reconstructions_codes_and_importance_weights(slow, log):
    vae = small_vae(likelihood="bernoulli")
    images = np.where(squares(600) > 127, np.uint8(255), np.uint8(0))
    vae.reconstruct(images)
    vae.log_importance_weights(images[:20], samples=100)
    assert headings(log) == {"reconstructions", "importance weights"}
    assert "importance weights: 2,000 of 2,000 samples (100 %)" in log.err
    vae.encode(images)
    assert "codes" in headings(log)


def test_tsne_tells_that_it_is_at_work(monkeypatch, log):
    import sklearn.manifold

    from keras_gen import report

    for name in ("BAR_SECONDS", "LINE_SECONDS", "TICK_SECONDS"):
        monkeypatch.setattr(progress, name, 0.01)

    class TSNE:
        def __init__(self, **options):
            pass

        def fit_transform(self, codes):
            deadline = progress._clock() + 30
            while not log.err and progress._clock() < deadline:
                threading.Event().wait(0.01)
            return codes[:, :2]

    monkeypatch.setattr(sklearn.manifold, "TSNE", TSNE)
    report.tsne(np.random.default_rng(0).normal(size=(50, 4)), most=40)
    assert log.err.startswith("t-SNE of 40 codes: 0 s\n")


def test_an_evaluation_tells_of_losses_and_of_seeds(slow, log):
    from keras_gen import evaluation
    from keras_gen.data import pipeline
    from keras_gen.evaluation import evaluator

    scorer = Scorer(Reference(squares(50), QuadrantExtractor(), cache=False), ("fid",), num_images=20)
    found = evaluator._scores_per_seed(scorer, NoiseModel(), evaluation.EvaluationSettings(seed=5, seeds=3))
    assert [score.protocol["seed"] for [score] in found] == [5, 6, 7]
    assert "generated images: 1 of 3 seeds (33 %)" in log.err
    vae = small_vae()
    vae.compile("adam")
    losses = evaluator._losses(vae, types.SimpleNamespace(test=data.image_data.Split(squares(3000))))
    assert {"loss", "kl"} <= set(losses)
    batches = -(-3000 // pipeline.EVALUATION_BATCH_SIZE)
    assert f"losses: {batches} of {batches} batches (100 %)" in log.err
    assert log.out == ""


def test_the_figures_of_a_report_are_told(slow, log):
    from keras_gen.report.pages import model_figures

    split = data.image_data.Split(squares(50), np.arange(50) % 3)
    opened = types.SimpleNamespace(
        model=small_vae(),
        data=types.SimpleNamespace(test=split, validation=split, train=split),
        settings=types.SimpleNamespace(seed=0),
        position=types.SimpleNamespace(epoch=1),
        epoch=1,
    )
    illustrations = model_figures.illustrate(opened)
    assert [found.heading for found in illustrations if found.figure is None] == []
    count = len(illustrations)
    assert count == 6
    assert f"figures of the model: {count} of {count} figures, " in log.err


def test_a_sweep_tells_of_its_members_beside_what_it_prints(slow, log, tmp_path):
    commands = sweeps.Commands(lambda settings, out: [sys.executable, "-c", ""], lambda run: [])
    plan = sweeps.Plan("vae-mlp", {"epochs": 1}, seeds=3)
    sweeps.run(plan, commands, out=tmp_path / "sweeps")
    assert "sweep: 1 of 3 members (33 %)" in log.err
    assert "sweep: 3 of 3 members (100 %)" in log.err
    assert len(log.out.splitlines()) == 7  # the folder, and the start and end of each member


def test_a_download_is_told_in_mebibytes(slow, log, tmp_path):
    published = tmp_path / "published.h5"
    published.write_bytes(bytes(range(256)) * 12_000)
    source = dataclasses.replace(weight_files.INCEPTION_V3, url=published.as_uri())
    weight_files._fetch(source, tmp_path / "here.h5")
    assert (tmp_path / "here.h5").read_bytes() == published.read_bytes()
    assert "downloading the weights of inception-v3: 3 of 3 MiB (100 %)" in log.err


def test_tensorflow_datasets_keeps_its_bars_for_terminals(monkeypatch, terminal):
    from keras_gen.data.sources import tfds

    calls = []
    fake = types.SimpleNamespace(
        disable_progress_bar=lambda: calls.append("off"), enable_progress_bar=lambda: calls.append("on")
    )
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake)
    with tfds._tfds_progress_bars():
        assert calls == []
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: False)
    with pytest.raises(OSError), tfds._tfds_progress_bars():
        assert calls == ["off"]
        raise OSError
    assert calls == ["off", "on"]

"""Runs with a sampler, dynamic binarization and a decaying learning rate: their files, resuming, evaluation."""

import inspect
import json

import keras
import numpy as np
import pytest
import run_helpers

import keras_gen.data
from keras_gen import UsageError, callbacks, evaluation, optimizers, runs, training, zoo
from keras_gen.evaluation import EvaluationSettings, encoder_scores
from keras_gen.models import export
from keras_gen.models.samplers import GaussianMixture
from keras_gen.report.pages import model_figures
from keras_gen.runs import loading
from keras_gen.runs.settings import RunSettings
from run_helpers import assert_same_run, without_artifacts

images = run_helpers.images
SMALL = {"samples_every": 0, "fid_every": 0, "batch_size": 40}


def test_a_run_with_a_sampler_exports_loads_and_evaluates_with_it(images, tmp_path):
    settings = RunSettings("ae-conv", {"width": 1}, epochs=1, sampler="gmm", **SMALL)
    run = training.run(settings, data=images, out=tmp_path)
    opened = runs.load(run, data=images)
    assert opened.model.sampler.name == export.description(run / "saved_model")["sampler"] == "gmm-10"
    generated = opened.model.generate(5, seed=2)["images"]
    np.testing.assert_array_equal(export.generate(run, 5, 2)["images"], generated)
    settings = EvaluationSettings(measures=("fid",), extractor="lenet", num_images=20, likelihood_images=0)
    result = evaluation.evaluate(run, settings, data=images)
    assert "fd_lenet" in [score.name for score in result.scores]
    assert json.loads((run / "evaluation.json").read_text())["sampler"] == "gmm-10"
    (run / "sampler.npz").write_bytes(b"damaged")
    with pytest.raises(UsageError, match="sampler.npz"):
        runs.load(run, data=images)
    assert runs.load(run, data=images, newest=True).model.sampler is None


def test_a_gan_has_no_codes_to_fit_a_sampler_to(images, tmp_path):
    with pytest.raises(UsageError, match="^sampler must be prior for gan-mlp, which has no encoder, received: 'gmm'"):
        training.run(RunSettings("gan-mlp", epochs=1, sampler="gmm", **SMALL), data=images, out=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_run_on_dynamic_binarization_with_decay_resumes_to_the_same_bits(images, tmp_path):
    changes = {"binarize": "dynamic", "validation": 30, "learning_rate_decay": "linear", **SMALL}
    settings = RunSettings("vae-burda", {"hidden": 8, "latent_dim": 2, "importance_samples": 2}, epochs=3, **changes)
    with without_artifacts():
        whole = training.run(settings, data=images, out=tmp_path / "whole")
        broken = training.run(settings, data=images, out=tmp_path / "broken")
        for path in broken.glob("checkpoints/epoch-*"):
            if path.name != "epoch-00002.npz":
                path.unlink()
        training.resume(broken, data=images)
        assert_same_run(broken, whole)
        opened = runs.load(whole, data=images)
    assert float(opened.model.optimizer.learning_rate) == 0.0
    assert opened.data.is_dynamic
    rows = (whole / "history.csv").read_text().splitlines()
    assert "val_loss" in rows[0]


@pytest.mark.slow
def test_extending_a_run_stretches_the_decay(images, tmp_path):
    settings = RunSettings("vae-mlp", {"hidden": 4}, epochs=1, learning_rate_decay="linear", **SMALL)
    with without_artifacts():
        run = training.run(settings, data=images, out=tmp_path)
        training.resume(run, epochs=4, data=images)
        steps = len(range(0, 165, 40))
        optimizer = runs.load(run, data=images).model.optimizer
    assert optimizer.get_config()["learning_rate"]["config"] == {
        "initial_learning_rate": pytest.approx(0.005),
        "updates": 4 * steps,
    }
    assert int(optimizer.iterations) == 4 * steps


def test_the_decay_of_each_optimizer_is_over_its_own_updates():
    model = zoo.build("wgan-gp", (12, 12, 1), width=2, critic_steps=3)
    optimizers.decay_linearly(model, 10)
    configs = [optimizer.get_config()["learning_rate"]["config"] for optimizer in model.optimizers]
    assert [config["updates"] for config in configs] == [10, 30]
    with pytest.raises(UsageError, match="^learning_rate_decay can't be used with the schedule of Adam"):
        optimizers.decay_linearly(model, 10)
    vae = zoo.build("vae-mlp", (12, 12, 1))
    vae.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.5)))
    optimizers.decay_linearly(vae, 10)
    assert float(vae.optimizer.learning_rate) == 0.5
    with pytest.raises(UsageError, match="^VAE must be compiled before its learning rates can decay"):
        optimizers.decay_linearly(keras_gen.VAE(vae.encoder, vae.decoder), 10)
    rate = optimizers.LinearDecay(0.1, 4)
    np.testing.assert_allclose([float(rate(t)) for t in range(6)], [0.1, 0.075, 0.05, 0.025, 0, 0], rtol=1e-6)


def test_data_that_are_binarized_dynamically_stay_gray_but_for_evaluation():
    gray, dynamic = (keras_gen.data.load("digits", binarize=rule) for rule in (None, "dynamic"))
    assert dynamic.fingerprint == gray.fingerprint
    first, again = dynamic.evaluated("test").images, dynamic.evaluated("test").images
    np.testing.assert_array_equal(first, again)
    assert set(np.unique(first)) == {0, 255}
    assert abs(first.mean() - gray.test.images.mean()) < 1
    assert gray.evaluated("test") is gray.test


@pytest.mark.slow
def test_what_a_run_on_dynamic_binarization_fits_shows_and_scores_is_black_and_white(images, tmp_path, monkeypatch):
    seen = {}

    def spy(owner, name, argument):
        original = getattr(owner, name)

        def spied(*arguments, **keywords):
            given = inspect.signature(original).bind(*arguments, **keywords).arguments[argument]
            seen[name] = np.unique(getattr(given, "images", given)).tolist()
            return original(*arguments, **keywords)

        monkeypatch.setattr(owner, name, spied)

    spy(keras_gen.VAE, "fit_sampler", "images")
    spy(callbacks, "ReconstructionGrid", "originals")
    spy(model_figures, "_codes", "split")
    spy(encoder_scores, "likelihood_scores", "images")
    changes = {"binarize": "dynamic", "sampler": "gmm", **SMALL, "samples_every": 1}
    run = training.run(RunSettings("vae-mlp", {"hidden": 4}, epochs=1, **changes), data=images, out=tmp_path)
    model_figures.illustrate(runs.load(run, data=images))
    evaluation.evaluate(run, EvaluationSettings(measures=(), likelihood_images=2, likelihood_samples=2), data=images)
    assert seen == {name: [0, 255] for name in ("fit_sampler", "ReconstructionGrid", "_codes", "likelihood_scores")}


def test_the_rules_of_a_recipe_for_its_own_data_are_not_asked_of_data_that_are_given():
    gray = keras_gen.data.load("digits")
    data, _ = loading.load_data(RunSettings("vae-burda"), gray)
    assert data is gray
    assert (
        loading.load_data(RunSettings("vae-burda", binarize="none"), gray.train.images)[0].options["binarize"] is None
    )
    assert loading.load_data(RunSettings("vae-burda"), gray.train.images)[0].is_dynamic
    dynamic = keras_gen.data.load("digits", binarize="dynamic")
    for rule, given in (("threshold", gray), ("none", dynamic)):
        with pytest.raises(
            UsageError, match=f"^binarize must be that of the ImageData, or left out, received: '{rule}'"
        ):
            loading.load_data(RunSettings("vae-burda", binarize=rule), given)


def test_a_run_on_an_image_data_records_its_options(images, tmp_path):
    data = keras_gen.data.from_arrays(images)
    with without_artifacts():
        settings = RunSettings("vae-burda", {"hidden": 4, "latent_dim": 2}, epochs=1, **SMALL)
        run = training.run(settings, data=data, out=tmp_path)
    recorded = runs.load(run, data=data).settings
    assert (recorded.binarize, recorded.validation) == ("none", 15)


def test_too_few_images_for_a_sampler_are_refused_before_the_run(images, tmp_path):
    settings = RunSettings("ae-conv", {"width": 1}, epochs=1, sampler="gmm", validation=0, **SMALL)
    with pytest.raises(UsageError, match="^images must be at least 20 to fit a mixture of 10 components, received: 17"):
        training.run(settings, data=images[:19], out=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_sampler_that_cant_be_fitted_is_left_out(images, tmp_path, monkeypatch, capsys):
    def fails(*_, **__):
        raise UsageError("a Gaussian mixture can't be fitted to these codes")

    monkeypatch.setattr(GaussianMixture, "fit", fails)
    settings = RunSettings("ae-conv", {"width": 1}, epochs=1, sampler="gmm", **SMALL)
    run = training.run(settings, data=images, out=tmp_path)
    assert "NOTE: latents are from the prior: a Gaussian mixture can't be fitted" in capsys.readouterr().out
    assert runs.load(run, data=images).model.sampler is None
    assert (run / "saved_model").is_dir()


def test_an_epoch_of_the_warmup_is_not_the_best_one(images, tmp_path):
    settings = RunSettings("vae-mlp", {"kl_warmup": 5}, epochs=1, keep_best="loss", validation=0, **SMALL)
    with pytest.raises(UsageError, match="^keep_best must be left out for this run, received: 'loss'"):
        training.run(settings, data=images, out=tmp_path)

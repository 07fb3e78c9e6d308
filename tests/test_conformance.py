"""The tests that every recipe of the zoo has to pass. A new recipe needs no line here; its costly tests are `slow`."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import run_helpers
from model_helpers import mostly_slow
from run_helpers import assert_same_run
from selection_helpers import selected

from keras_gen import UsageError, training, zoo
from keras_gen.callbacks import StopOnDivergence
from keras_gen.models import export
from keras_gen.runs import checkpoints
from keras_gen.runs.settings import RunSettings

RECIPES = [recipe.name for recipe in zoo.recipes()]
FUNCTIONS = list({recipe.function: recipe.name for recipe in reversed(zoo.recipes())}.values())
"""One recipe per function, for the slowest tests. Others of the same function differ in data and defaults."""
FAST = ("ae-conv", "gan-mlp", "vae-mlp", "wgan-gp")
"""The recipes whose tests run by default, one of each family; the others' are marked `slow`."""

BATCH = 4
CLASSES = 3
SIDE = 8
SMALL = {"width": 4, "hidden": 8, "units": 8, "critic_steps": 2}
"""Values of parameters that make networks small and train steps cheap."""


@pytest.fixture
def only_training():
    with run_helpers.without_artifacts():
        yield


recipes = pytest.mark.parametrize("name", mostly_slow(RECIPES, *FAST))
# In the scope of the module, so that tests of one recipe follow each other and only its model is in memory.
each_recipe = pytest.mark.parametrize("name", mostly_slow(RECIPES, *FAST), scope="module")


def images_for(model, count=12):
    return np.random.default_rng(1).integers(0, 256, (count, *model.image_shape), dtype=np.uint8)


def small(name):
    """Return parameters that make a recipe's model small, as far as it has them."""
    return {key: value for key, value in SMALL.items() if key in zoo.get(name).parameters}


def build(name, **overrides):
    """Return the recipe's model with small networks, for small images with the channels of its own data set."""
    return zoo.build(name, (SIDE, SIDE, zoo.get(name).image_shape[-1]), seed=0, **small(name), **overrides)


def networks_of(model):
    return [layer for layer in model.layers if isinstance(layer, keras.Model) and layer.trainable]


def output_of(model, seed):
    """Return images that the model generates or, without `generate`, reconstructions of noise."""
    if "generate" in model.endpoints():
        return model.generate(3, seed)["images_float"].numpy()
    return model.reconstruct(images_for(model, 3)).numpy()


def trainable_weights(model):
    return [variable.numpy() for variable in model.trainable_variables]


def stop_in_epoch(number, monkeypatch):
    """Make the process send itself SIGTERM once, in the first step of an epoch."""
    real, sent = StopOnDivergence.on_epoch_begin, []

    def on_epoch_begin(self, epoch, logs=None):
        real(self, epoch, logs)
        if epoch == number - 1 and not sent:
            sent.append(os.kill(os.getpid(), signal.SIGTERM))

    monkeypatch.setattr(StopOnDivergence, "on_epoch_begin", on_epoch_begin)


def free_memory():
    """Free the memory of models that are no longer referred to, which Keras keeps otherwise."""
    keras.utils.clear_session(free_memory=True)


@pytest.fixture(scope="module")
def initial_weights():
    """Weights before training, by the name of the recipe's network; filled by `model`."""
    return {}


@pytest.fixture(scope="module")
def model(name, initial_weights):
    """The recipe's model after one train step."""
    trained = build(name)
    initial_weights.clear()
    for network in networks_of(trained):
        initial_weights[network.name] = [variable.numpy() for variable in network.trainable_variables]
    trained.fit(images_for(trained, BATCH * trained.batches_per_step), batch_size=BATCH, epochs=1, verbose=0)
    yield trained
    del trained
    free_memory()


def outputs_of(model, latents, images):
    """Return the outputs of a model for the functions of its SavedModel."""
    outputs = {"decode/images_float": model.to_unit_range(model.decode(latents))}
    if "generate" in model.endpoints():
        outputs |= {f"generate/{key}": value for key, value in model.generate(5, seed=3).items()}
    if hasattr(model, "encode"):
        encoded = model.encode(images)
        names = ("mean", "log_variance") if isinstance(encoded, tuple) else ("codes",)
        parts = encoded if isinstance(encoded, tuple) else (encoded,)
        outputs |= {f"encode/{key}": value for key, value in zip(names, parts, strict=True)}
        outputs["reconstruct/images_float"] = model.to_unit_range(model.reconstruct(images))
    return {key: np.asarray(value) for key, value in outputs.items()}


@pytest.fixture(scope="module")
def saved_model_outputs(request, tmp_path_factory):
    """Outputs of models, and of their SavedModels in one process that doesn't import keras_gen, by recipe."""
    names = selected(request, "name")
    folder = tmp_path_factory.mktemp("saved_models")
    expected = {}
    for name in names:
        model = build(name)
        export.save(model, folder / name)
        shape = model.decoder_network.input_shape[1:]
        latents, images = np.random.default_rng(2).standard_normal((3, *shape), np.float32), images_for(model, 3)
        np.savez(folder / f"{name}-inputs.npz", latents=latents, images=images)
        expected[name] = outputs_of(model, latents, images)
        del model
        free_memory()
    script = """
        import sys
        import numpy as np
        import tensorflow as tf

        folder, names = sys.argv[1], sys.argv[2:]
        for name in names:
            inputs = np.load(f"{folder}/{name}-inputs.npz")
            results = {}
            loaded = tf.saved_model.load(f"{folder}/{name}")
            if "generate" in loaded.signatures:
                outputs = tf.saved_model.load(f"{folder}/{name}").generate(n=5, seed=3)
                results = {f"generate/{key}": value for key, value in outputs.items()}
            for function in set(loaded.signatures) - {"generate"}:
                argument = tf.constant(inputs["latents" if function == "decode" else "images"])
                outputs = getattr(loaded, function)(argument)
                results |= {f"{function}/{key}": value for key, value in outputs.items()}
            np.savez(f"{folder}/{name}-outputs.npz", **results)
        assert "keras_gen" not in sys.modules
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(folder), *names]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return {name: (expected[name], dict(np.load(folder / f"{name}-outputs.npz"))) for name in names}


@pytest.fixture(scope="module")
def histories_on_devices(request, tmp_path_factory):
    """History of `fit` for each recipe on one device and on two logical ones, computed in one process."""
    path = tmp_path_factory.mktemp("replicas") / "histories.json"
    script = """
        import json
        import sys

        import keras
        import numpy as np
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

        from keras_gen import distribution, zoo

        histories = {}
        side = int(sys.argv[2])
        for name, overrides in json.loads(sys.argv[3]).items():
            histories[name] = {}
            for devices in ("none", "mirrored"):
                strategy = distribution.strategy(devices)
                with strategy.scope():
                    shape = (side, side, zoo.get(name).image_shape[-1])
                    model = zoo.build(name, shape, seed=0, **overrides)
                    # Adam's first steps divide by gradients near 0, which amplifies rounding errors. Losses are
                    # sums over pixels: the learning rate must be small.
                    rate = 0.05 / np.prod(model.image_shape)
                    model.compile(*(keras.optimizers.SGD(rate) for _ in model.optimizers))
                generator = np.random.default_rng(0)
                count = 7 * model.batches_per_step  # the last batch can't be divided evenly
                images = generator.integers(0, 256, (count, *model.image_shape), dtype=np.uint8)
                history = model.fit(images, batch_size=4, epochs=2, shuffle=False, verbose=0, validation_data=images)
                histories[name][strategy.num_replicas_in_sync] = history.history
                del model, history
                keras.utils.clear_session(free_memory=True)
        json.dump(histories, open(sys.argv[1], "w"))
    """
    overrides = {name: small(name) for name in selected(request, "name")}
    command = [sys.executable, "-c", textwrap.dedent(script), str(path), str(SIDE), json.dumps(overrides)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(path.read_text())


@pytest.mark.parametrize("name", RECIPES)
def test_the_number_of_weights_is_the_documented_one(name):
    recipe, model = zoo.get(name), zoo.build(name)
    assert model.image_shape == recipe.image_shape
    assert sum(weight.size for weight in trainable_weights(model)) == recipe.weights
    del model
    free_memory()


@recipes
def test_a_parameter_of_the_wrong_type_is_refused_by_name(name):
    shape = (SIDE, SIDE, zoo.get(name).image_shape[-1])
    for parameter in zoo.get(name).parameters.values():
        wrong = [["wrong"]] + [parameter.type(-1)] * (parameter.type in (int, float))
        for value in wrong:
            with pytest.raises(UsageError, match=f"^{parameter.name} must be"):
                zoo.build(name, shape, **small(name) | {parameter.name: value})


@each_recipe
def test_a_step_trains_every_network(name, model, initial_weights):
    assert len(initial_weights) >= 2
    for network in networks_of(model):
        for old, new in zip(initial_weights[network.name], network.trainable_variables, strict=True):
            # Not every bias changes: a critic's last one cancels out of its loss.
            if old.ndim > 1:
                assert not np.array_equal(old, new.numpy()), f"{network.name}: {new.path}"
    assert set(model.updates.values()) == {1, model.batches_per_step}


@each_recipe
def test_evaluation_reports_the_same_finite_numbers_twice(name, model):
    before = trainable_weights(model)
    images = images_for(model)
    first, second = (model.evaluate(images, batch_size=BATCH, verbose=0, return_dict=True) for _ in range(2))
    assert first == second
    assert set(first) == {metric.name for metric in model.metrics}
    assert all(np.isfinite(value) for value in first.values())
    for old, new in zip(before, trainable_weights(model), strict=True):
        np.testing.assert_array_equal(old, new)


@each_recipe
def test_a_keras_file_restores_the_model(name, model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert json.dumps(loaded.get_config()) == json.dumps(model.get_config())
    assert loaded.updates == model.updates
    np.testing.assert_array_equal(output_of(loaded, seed=1), output_of(model, seed=1))
    for ours, theirs in zip(model.optimizers, loaded.optimizers, strict=True):
        assert ours.get_config() == theirs.get_config()
        for one, other in zip(ours.variables, theirs.variables, strict=True):
            np.testing.assert_array_equal(one.value, other.value)


@each_recipe
def test_bad_images_are_refused_before_the_first_step(name, model):
    before = model.updates
    for wrong, message in (
        (np.zeros((4, 5, 7, 1), np.uint8), "x must be images of shape"),
        (np.full((4, *model.image_shape), 255.0, np.float32), "x must be uint8 images, or floats from"),
        (np.zeros((4, *model.image_shape), np.int64), "x must be uint8 images, or floats from"),
        ([[1, 2], [3, 4]], "x must be a NumPy array"),
    ):
        with pytest.raises(UsageError, match=message):
            model.fit(wrong, verbose=0)
    assert model.updates == before


@recipes
def test_the_saved_model_gives_the_same_results_without_keras_gen(name, saved_model_outputs):
    expected, given = saved_model_outputs[name]
    assert expected.keys() <= given.keys()
    for key, values in expected.items():
        if key.startswith("generate/"):
            np.testing.assert_array_equal(given[key], values, err_msg=key)
        else:
            np.testing.assert_allclose(given[key], values, rtol=1e-5, atol=1e-5, err_msg=key)


# By default the families are in test_exact_resume.
@pytest.mark.parametrize("name", mostly_slow(FUNCTIONS))
def test_a_resumed_run_equals_the_uninterrupted_run_to_the_bit(name, only_training, tiny_data, tmp_path, monkeypatch):
    """The run is stopped in the middle of its second epoch."""
    settings = {"model": name, "dataset": str(tiny_data), "image_size": SIDE, "sample_count": 4, "epochs": 2}
    settings |= {"fid_every": 0, "overrides": small(name), "steps_per_execution": 1, "batch_size": BATCH}
    whole = training.run(RunSettings(**settings), out=tmp_path)
    stop_in_epoch(2, monkeypatch)
    with pytest.raises(training.RunInterrupted):
        training.run(RunSettings(**settings), out=tmp_path)
    broken = tmp_path / f"00002-{name}"
    position = checkpoints.latest(broken)[0]
    assert (position.epoch, position.step > 0) == (1, True)
    training.resume(broken)
    assert_same_run(whole, broken)
    assert any(whole.rglob("epoch-*.png"))
    free_memory()


@pytest.mark.parametrize("name", mostly_slow(FUNCTIONS, "gan-mlp"))
def test_a_finished_run_has_its_curves_page_and_saved_model(name, tiny_data, tmp_path):
    settings = {"model": name, "dataset": str(tiny_data), "image_size": SIDE, "sample_count": 4, "epochs": 1}
    run = training.run(RunSettings(**settings, fid_every=0, overrides=small(name), batch_size=BATCH), out=tmp_path)
    description = json.loads((run / "saved_model" / "description.json").read_text(encoding="utf-8"))
    assert (description["recipe"], description["epochs"]) == (name, 1)
    for file in ("saved_model/saved_model.pb", "losses.png", "report.html", "model.txt", "history.csv"):
        assert (run / file).stat().st_size > 0
    free_memory()


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_two_devices_compute_what_one_does(name, histories_on_devices):
    histories = histories_on_devices[name]
    assert set(histories) == {"1", "2"}
    assert histories["1"].keys() == histories["2"].keys()
    for quantity, values in histories["1"].items():
        np.testing.assert_allclose(histories["2"][quantity], values, rtol=1e-4, atol=1e-4, err_msg=quantity)


@recipes
@pytest.mark.parametrize("side", mostly_slow([28, 32, 64], 32))
def test_other_image_shapes_work_or_are_refused(name, side):
    shape = (side, side, 3)
    if name == "vae-lstm" and side == 32:
        pytest.skip("its output layer would have 201 million weights: slow to make, not refused")
    try:
        model = zoo.build(name, shape, seed=0)
    except UsageError as error:
        assert name == "vae-lstm" and side == 64
        assert "dense layer of at most 1,000,000,000 weights" in str(error)
        return
    assert model.image_shape == shape
    assert output_of(model, seed=0).shape == (3, *shape)


CONDITIONAL = [name for name in RECIPES if "num_classes" in zoo.get(name).parameters]


@pytest.mark.parametrize("name", mostly_slow(CONDITIONAL, "gan-mlp", "vae-mlp"))
def test_with_classes_a_model_trains_on_labels_and_generates_the_requested_ones(name):
    model = build(name, num_classes=CLASSES)
    images = images_for(model, BATCH * model.batches_per_step)
    with pytest.raises(UsageError, match="labels of x must be .* since the model is conditional"):
        model.fit(images, verbose=0)
    labels = np.arange(len(images)) % CLASSES
    before = trainable_weights(model)
    model.fit(images, labels, batch_size=BATCH, verbose=0, validation_data=(images, labels))
    # The weights that read the labels are trained too: all matrices and kernels changed.
    for old, new, variable in zip(before, trainable_weights(model), model.trainable_variables, strict=True):
        assert old.ndim == 1 or not np.array_equal(old, new), variable.path
    generated = [model.generate(4, seed=1, labels=label)["images_float"].numpy() for label in range(CLASSES)]
    assert not np.array_equal(generated[0], generated[1])
    assert not np.array_equal(generated[1], generated[2])
    mixed = model.generate(4, seed=1, labels=[0, 1, 2, 0])
    for index, label in enumerate([0, 1, 2, 0]):
        np.testing.assert_allclose(mixed["images_float"][index], generated[label][index], atol=1e-6)
    del model
    free_memory()

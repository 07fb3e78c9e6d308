"""Every recipe of the zoo, by the same tests: a new recipe needs none of its own to be held to this."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from run_helpers import assert_same_run

from keras_gen import UsageError, training, zoo
from keras_gen.callbacks import StopOnDivergence
from keras_gen.models import GenerativeModel, export
from keras_gen.runs import checkpoints
from keras_gen.runs.settings import RunSettings

RECIPES = [recipe.name for recipe in zoo.recipes()]
FUNCTIONS = {recipe.function: recipe.name for recipe in reversed(zoo.recipes())}.values()
"""One recipe a function. Others of the same function differ by data and defaults, which the slowest tests leave out."""

BATCH = 4
CLASSES = 3
SIDE, WIDTH = 12, 8
"""Of the images and networks, but in tests of sizes: small, since Keras keeps every model that was fitted in memory."""

# With the scope of a module, so that a recipe's tests follow one another and only its model is in memory.
pytestmark = pytest.mark.parametrize("name", RECIPES, scope="module")


def images_for(model, count=12):
    return np.random.default_rng(1).integers(0, 256, (count, *model.image_shape), dtype=np.uint8)


def narrow(name):
    """Parameters that make a recipe's networks small, where there are such."""
    return {"width": WIDTH} if "width" in zoo.get(name).parameters else {}


def build(name, **overrides):
    """The recipe's model, narrow, for small images of its own data's channels."""
    return zoo.build(name, (SIDE, SIDE, zoo.get(name).image_shape[-1]), seed=0, **narrow(name), **overrides)


def networks_of(model):
    return [layer for layer in model.layers if isinstance(layer, keras.Model) and layer.trainable]


def made_by(model, seed):
    """What a model makes of nothing but a seed: images or, without `generate`, reconstructions of noise."""
    if isinstance(model, GenerativeModel):
        return model.generate(3, seed)["images_float"].numpy()
    return model.reconstruct(images_for(model, 3)).numpy()


def trainable_weights(model):
    return [variable.numpy() for variable in model.trainable_variables]


def skip_unless_one_a_function(name):
    if name not in FUNCTIONS:
        pytest.skip("the same function as another recipe, with other defaults")


def stop_in_epoch(number, monkeypatch):
    """Has the process sent SIGTERM after the first step of that epoch, once."""
    real, sent = StopOnDivergence.on_epoch_begin, []

    def on_epoch_begin(self, epoch, logs=None):
        real(self, epoch, logs)
        if epoch == number - 1 and not sent:
            sent.append(os.kill(os.getpid(), signal.SIGTERM))

    monkeypatch.setattr(StopOnDivergence, "on_epoch_begin", on_epoch_begin)


def forget():
    """Free the memory of models that are no longer referred to."""
    keras.utils.clear_session(free_memory=True)


@pytest.fixture(scope="module")
def model(name):
    """The recipe's trained model, for the tests that only look at it."""
    trained = build(name)
    trained.fit(images_for(trained), batch_size=BATCH, epochs=1, verbose=0)
    yield trained
    del trained
    forget()


def outputs_of(model, latents, images):
    """What a model gives for the functions of its SavedModel."""
    outputs = {"decode/images_float": model.to_unit_range(model.decode(latents))}
    if isinstance(model, GenerativeModel):
        outputs |= {f"generate/{key}": value for key, value in model.generate(5, seed=3).items()}
    if hasattr(model, "encode"):
        encoded = model.encode(images)
        names = ("mean", "log_variance") if isinstance(encoded, tuple) else ("codes",)
        parts = encoded if isinstance(encoded, tuple) else (encoded,)
        outputs |= {f"encode/{key}": value for key, value in zip(names, parts, strict=True)}
        outputs["reconstruct/images_float"] = model.to_unit_range(model.reconstruct(images))
    return {key: np.asarray(value) for key, value in outputs.items()}


@pytest.fixture(scope="module")
def sampled_elsewhere(tmp_path_factory):
    """What all models give, and what their SavedModels do in one process that never imports keras_gen."""
    folder = tmp_path_factory.mktemp("saved_models")
    expected = {}
    for name in RECIPES:
        model = build(name)
        export.save(model, folder / name)
        shape = model.decoder_network.input_shape[1:]
        latents, images = np.random.default_rng(2).standard_normal((3, *shape), np.float32), images_for(model, 3)
        np.savez(folder / f"{name}-inputs.npz", latents=latents, images=images)
        expected[name] = outputs_of(model, latents, images)
        del model
        forget()
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
    command = [sys.executable, "-c", textwrap.dedent(script), str(folder), *RECIPES]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return {name: (expected[name], dict(np.load(folder / f"{name}-outputs.npz"))) for name in RECIPES}


@pytest.fixture(scope="module")
def histories_on_devices(tmp_path_factory):
    """What `fit` reports for each recipe on one device and on two logical ones, from one process."""
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
                    # Adam's first steps divide by gradients near 0, and so turn rounding into differences.
                    # Losses are sums over pixels: a step must not throw the weights far.
                    rate = 0.05 / np.prod(model.image_shape)
                    model.compile(*(keras.optimizers.SGD(rate) for _ in model.optimizers))
                generator = np.random.default_rng(0)
                count = 7 * model.batches_per_step  # the last batch is not of the same size on both
                images = generator.integers(0, 256, (count, *model.image_shape), dtype=np.uint8)
                history = model.fit(images, batch_size=4, epochs=2, shuffle=False, verbose=0, validation_data=images)
                histories[name][strategy.num_replicas_in_sync] = history.history
                del model, history
                keras.utils.clear_session(free_memory=True)
        json.dump(histories, open(sys.argv[1], "w"))
    """
    overrides = {name: narrow(name) for name in FUNCTIONS}
    command = [sys.executable, "-c", textwrap.dedent(script), str(path), str(SIDE), json.dumps(overrides)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return json.loads(path.read_text())


def test_it_has_as_many_weights_as_it_says(name):
    recipe, model = zoo.get(name), zoo.build(name)
    assert model.image_shape == recipe.image_shape
    assert sum(weight.size for weight in trainable_weights(model)) == recipe.weights


def test_a_step_trains_every_network(name):
    model = build(name)
    images = images_for(model, 4 * model.batches_per_step)
    before = {network.name: [v.numpy() for v in network.trainable_variables] for network in networks_of(model)}
    model.fit(images, batch_size=4, epochs=1, verbose=0)
    assert len(before) >= 2
    for network in networks_of(model):
        for old, new in zip(before[network.name], network.trainable_variables, strict=True):
            # Not every bias: a critic's last one cancels out of its loss.
            if old.ndim > 1:
                assert not np.array_equal(old, new.numpy()), f"{network.name}: {new.path}"
    assert set(model.updates.values()) <= {1, model.batches_per_step}


def test_evaluation_reports_the_same_finite_numbers_twice(name, model):
    before = trainable_weights(model)
    images = images_for(model)
    first, second = (model.evaluate(images, batch_size=BATCH, verbose=0, return_dict=True) for _ in range(2))
    assert first == second
    assert set(first) == {metric.name for metric in model.metrics}
    assert all(np.isfinite(value) for value in first.values())
    for old, new in zip(before, trainable_weights(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_keras_file_brings_back_the_model(name, model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert json.dumps(loaded.get_config()) == json.dumps(model.get_config())
    assert loaded.updates == model.updates
    np.testing.assert_array_equal(made_by(loaded, seed=1), made_by(model, seed=1))
    for ours, theirs in zip(model.optimizers, loaded.optimizers, strict=True):
        assert ours.get_config() == theirs.get_config()
        for one, other in zip(ours.variables, theirs.variables, strict=True):
            np.testing.assert_array_equal(one.value, other.value)


def test_its_saved_model_gives_the_same_without_keras(name, sampled_elsewhere):
    expected, given = sampled_elsewhere[name]
    assert expected.keys() <= given.keys()
    for key, values in expected.items():
        if key.startswith("generate/"):
            np.testing.assert_array_equal(given[key], values, err_msg=key)
        else:
            np.testing.assert_allclose(given[key], values, rtol=1e-5, atol=1e-5, err_msg=key)


def test_a_resumed_run_is_the_uninterrupted_run_to_the_bit(name, tiny_data, tmp_path, monkeypatch):
    """Stopped in the middle of its second epoch."""
    skip_unless_one_a_function(name)
    settings = {"model": name, "dataset": str(tiny_data), "image_size": SIDE, "sample_count": 4, "epochs": 2}
    settings |= {"fid_every": 0, "overrides": narrow(name), "steps_per_execution": 1}
    # Train steps of 8 images, or of 5 updates of a critic with 4: 5 or 2 steps an epoch.
    settings |= {"batch_size": 4 if "critic_steps" in zoo.get(name).parameters else 8}
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
    description = json.loads((broken / export.RUN_FOLDER / export.DESCRIPTION_FILE).read_text())
    assert description["recipe"] == name
    assert description["epochs"] == 2


@pytest.mark.slow
def test_two_devices_compute_what_one_does(name, histories_on_devices):
    skip_unless_one_a_function(name)
    histories = histories_on_devices[name]
    assert set(histories) == {"1", "2"}
    assert histories["1"].keys() == histories["2"].keys()
    for quantity, values in histories["1"].items():
        np.testing.assert_allclose(histories["2"][quantity], values, rtol=1e-4, atol=1e-4, err_msg=quantity)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (np.zeros((4, 5, 7, 1), np.uint8), "x must be images of shape"),
        (np.full((4, 28, 28, 1), 255.0, np.float32), "x must be uint8 images, or floats from"),
        (np.zeros((4, 28, 28, 1), np.int64), "x must be uint8 images, or floats from"),
        ([[1, 2], [3, 4]], "x must be a NumPy array"),
    ],
    ids=["shape", "range", "dtype", "list"],
)
def test_bad_images_are_refused_before_the_first_step(name, wrong, named, model):
    if isinstance(wrong, np.ndarray) and wrong.shape[1] == 28:
        wrong = np.broadcast_to(wrong[0, 0, 0, 0], (4, *model.image_shape))
    before = model.updates
    with pytest.raises(UsageError, match=named):
        model.fit(wrong, verbose=0)
    assert model.updates == before


@pytest.mark.parametrize("shape", [(28, 28, 3), (32, 32, 3), (64, 64, 3)], ids=str)
def test_it_runs_on_other_images_or_says_that_it_can_not(name, shape):
    if name == "vae-lstm" and shape == (32, 32, 3):
        pytest.skip("its output layer would have 201 million weights: slow to make, not refused")
    try:
        model = zoo.build(name, shape, seed=0)
    except UsageError as error:
        assert name == "vae-lstm" and shape == (64, 64, 3)
        assert "dense layer of at most 1,000,000,000 weights" in str(error)
        return
    assert model.image_shape == shape
    assert made_by(model, seed=0).shape == (3, *shape)


def test_with_classes_it_trains_on_labels_and_makes_what_they_ask_for(name):
    if "num_classes" not in zoo.get(name).parameters:
        pytest.skip("an autoencoder, which gives back what it sees, has no use for labels")
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
    made = [model.generate(4, seed=1, labels=label)["images_float"].numpy() for label in range(CLASSES)]
    assert not np.array_equal(made[0], made[1])
    assert not np.array_equal(made[1], made[2])
    mixed = model.generate(4, seed=1, labels=[0, 1, 2, 0])
    for index, label in enumerate([0, 1, 2, 0]):
        np.testing.assert_allclose(mixed["images_float"][index], made[label][index], atol=1e-6)


def test_a_parameter_of_the_wrong_type_is_refused_by_name(name):
    for parameter in zoo.get(name).parameters.values():
        with pytest.raises(UsageError, match=f"^{parameter.name} must be"):
            zoo.build(name, **{parameter.name: ["wrong"]})
        if parameter.type in (int, float):
            with pytest.raises(UsageError, match=f"^{parameter.name} must be"):
                zoo.build(name, **{parameter.name: parameter.type(-1)})

"""Keras' habits around data and the life of a model: forms of data, targets, predict, saving, loading, exporting."""

import importlib
import subprocess
import sys

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from command_helpers import environment
from model_helpers import (
    CLASSES,
    KINDS,
    LATENT,
    SHAPE,
    assert_close,
    critic,
    decoder,
    encoder,
    images,
    make,
    make_autoencoder,
    make_denoiser,
    make_gan,
    make_vae,
    mostly_slow,
    pixels,
    weights,
)

import keras_gen
from keras_gen import GAN, VAE, UsageError
from keras_gen.models import inputs

LABELS = np.arange(12) % CLASSES


class Sequence(keras.utils.PyDataset):
    """Batches of 4 of arrays, which counts the epochs."""

    def __init__(self, *arrays, **options):
        super().__init__(**options)
        self.arrays, self.epochs = arrays, 0

    def __len__(self):
        return len(self.arrays[0]) // 4

    def __getitem__(self, index):
        parts = tuple(array[4 * index : 4 * index + 4] for array in self.arrays)
        return parts if len(parts) > 1 else parts[0]

    def on_epoch_end(self):
        self.epochs += 1


def generator(*arrays):
    while True:
        for start in range(0, len(arrays[0]), 4):
            yield tuple(array[start : start + 4] for array in arrays)


def dataset(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures")
    for index, (picture, label) in enumerate(zip(pixels(), LABELS, strict=True)):
        (path / f"class{label}").mkdir(exist_ok=True)
        PIL.Image.fromarray(picture[..., 0]).save(path / f"class{label}" / f"{index:02}.png")
    return path


def read_folder(folder, label_mode):
    return keras.utils.image_dataset_from_directory(
        folder, label_mode=label_mode, image_size=SHAPE[:2], color_mode="grayscale", batch_size=4, shuffle=False,
        verbose=False,
    )  # fmt: skip


ORDER = np.argsort(LABELS, kind="stable")  # of the files of a folder
STEPS = {"steps_per_epoch": 3}
FORMS = {
    "PyDataset": lambda _: (Sequence(images(), LABELS), {}),
    "PyDataset with workers": lambda _: (Sequence(images(), LABELS, workers=2), {}),
    "PyDataset without labels": lambda _: (Sequence(images()), {}),
    "generator": lambda _: (generator(images(), LABELS), STEPS),
    "generator of pixel values": lambda _: (generator(pixels().astype("float32"), LABELS), STEPS),
    "dictionaries": lambda _: (tf.data.Dataset.from_tensor_slices({"image": pixels(), "label": LABELS}).batch(4), {}),
    "one-hot rows": lambda _: (dataset(images(), np.eye(CLASSES)[LABELS]), {}),
    "without a channel axis": lambda _: (dataset(pixels()[..., 0], LABELS), {}),
    "inputs of two parts": lambda _: (tf.data.Dataset.from_tensor_slices(((images(), LABELS),)).batch(4), {}),
    "unknown shape": lambda _: (
        dataset(images(), LABELS).map(lambda x, y: tf.numpy_function(lambda *xy: xy, (x, y), (tf.float32, tf.int64))),
        {},
    ),
    "folder, label_mode int": lambda folder: (read_folder(folder, "int"), {}),
    "folder, label_mode categorical": lambda folder: (read_folder(folder, "categorical"), {}),
    "folder, label_mode None": lambda folder: (read_folder(folder, None), {}),
}


@pytest.mark.parametrize(
    "kind, num_classes, form",
    mostly_slow(
        [(kind, n, form) for kind in KINDS for n in (0, CLASSES) for form in FORMS if not (n and kind == "denoiser")],
        ("vae", CLASSES, "PyDataset"),
        ("wgan", CLASSES, "generator of pixel values"),
        ("denoiser", 0, "dictionaries"),
        ("gan", CLASSES, "folder, label_mode categorical"),
        ("vae", CLASSES, "unknown shape"),
    ),
)
def test_every_form_of_data_that_keras_takes_trains_as_the_arrays_do(folder, kind, num_classes, form):
    if num_classes and form.endswith(("without labels", "None")):
        pytest.skip("a conditional model needs labels")
    arguments = {"num_classes": num_classes} if num_classes else {}
    if kind == "wgan":
        arguments["gradient_penalty"] = 0.0  # takes most of the time
    order = ORDER if form.startswith("folder") else np.arange(12)
    expected, model = make(kind, **arguments), make(kind, **arguments)
    y = LABELS[order] if num_classes else None
    expected.fit(images()[order], y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    data, options = FORMS[form](folder)
    model.fit(data, epochs=2, verbose=0, **options | ({"shuffle": False} if isinstance(data, Sequence) else {}))
    if kind == "wgan" and "generator" in form:  # 3 steps of 2 batches rather than 2 an epoch
        assert model.updates == {"critic_updates": 12, "g_updates": 6}
    else:
        assert model.updates == expected.updates
        assert_close(weights(model), weights(expected), atol=1e-5)
    if isinstance(data, Sequence):
        assert data.epochs >= 2  # Keras also calls it when it resets the data
    if form != "generator":
        evaluated = model.evaluate(FORMS[form](folder)[0], verbose=0, **({"steps": 3} if options else {}))
        assert evaluated == pytest.approx(model.evaluate(images()[order], y, batch_size=4, verbose=0), rel=1e-4)


def test_fit_checks_its_validation_data_once(monkeypatch):
    checked, check = [], inputs.check_pair
    monkeypatch.setattr(
        inputs, "check_pair", lambda name, *rest, **options: checked.append(name) or check(name, *rest, **options)
    )
    make_vae().fit(images(), validation_data=images(), epochs=3, verbose=0)
    assert checked == ["x", "validation_data"]


@pytest.mark.parametrize("form", ["PyDataset", "generator"])
def test_a_later_batch_of_python_that_does_not_fit_is_one_line(form):
    late = np.r_[images(8), images(4) * 255]
    data, options = (Sequence(late), {"shuffle": False}) if form == "PyDataset" else (generator(late), STEPS)
    with pytest.raises(UsageError, match=r"^x must be uint8 images, or floats from 0 to 1, received: [^\n]*$"):
        make_vae().fit(data, verbose=0, **options)


REFUSED = {
    "empty PyDataset": (lambda: Sequence(images(0)), None, "x must be a dataset with at least one batch"),
    "empty generator": (lambda: (i for i in ()), None, "x must be a dataset with at least one batch"),
    "labels beside a dataset": (lambda: dataset(images()), LABELS, "labels of x must be in the dataset's batches"),
    "a word": (images, "anything", "labels of x must be one label for each of the 12 images, received: 'str'"),
    "other labels": (
        images,
        np.zeros((9, 4)),
        "labels of x must be one label for each of the 12 images, received: (9, 4)",
    ),
    "an iterator": (lambda: iter([images()]), None, "x must be a NumPy array, a tensor or a tf.data.Dataset of images"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_t_be_taken_is_refused_in_one_line(case):
    data, y, message = REFUSED[case]
    with pytest.raises(UsageError) as error:
        make_vae().fit(data(), y, verbose=0)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


# Targets


@pytest.mark.parametrize("form", mostly_slow(["arrays", "dataset", "PyDataset"], "arrays", "dataset"))
def test_an_autoencoder_is_trained_toward_its_targets(form):
    noisy, clean = images(), images(seed=1)
    model, other = (make_autoencoder(loss="squared_error", from_logits=False) for _ in range(2))
    expected = float(np.mean((model.reconstruct(noisy) - clean) ** 2))
    data = {"arrays": (noisy, clean), "dataset": (dataset(noisy, clean),), "PyDataset": (Sequence(noisy, clean),)}[form]
    assert model.evaluate(*data, verbose=0, return_dict=True)["mse"] == pytest.approx(expected, rel=1e-5)
    assert model.test_on_batch(noisy, clean, return_dict=True)["mse"] == pytest.approx(expected, rel=1e-5)
    validation_data = data if form == "arrays" else data[0]
    options = {"batch_size": 4} if form == "arrays" else {}
    history = model.fit(*data, validation_data=validation_data, shuffle=False, verbose=0, **options).history
    assert history["val_mse"][0] < expected
    for start in (0, 4, 8):
        other.train_on_batch(noisy[start : start + 4], (clean[start : start + 4] * 255).round().astype("uint8"))
    assert_close(weights(model), weights(other), atol=1e-6)


def test_pixel_values_of_a_dataset_s_targets_are_scaled_as_those_of_its_images_are():
    model = make_autoencoder()
    expected = model.evaluate(images(), images(seed=1), batch_size=4, verbose=0)
    for noisy, clean in ((images(), pixels(seed=1)), (pixels(), pixels(seed=1)), (pixels(), images(seed=1))):
        floats = dataset(noisy.astype("float32"), clean.astype("float32"))
        assert model.evaluate(floats, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_a_denoiser_corrupts_its_input_and_keeps_the_target():
    model, clean = make_denoiser(optimizer=keras.optimizers.SGD(0.0)), images(seed=1)
    same, other = (model.evaluate(images(), y, verbose=0, return_dict=True) for y in (images(), clean))
    assert same == pytest.approx(model.evaluate(images(), verbose=0, return_dict=True), rel=1e-6)
    assert other["mse"] != same["mse"]
    assert other["corrupted_mse"] > same["corrupted_mse"]


@pytest.mark.parametrize("kind", ["vae", "gan", "wgan"])
def test_other_models_refuse_targets(kind):
    model = make(kind)
    for arguments in ((images(), images()), (dataset(images(), images()),), (Sequence(images(), images()),)):
        with pytest.raises(UsageError, match=r"^targets of x must be left out \(only an Autoencoder without classes"):
            model.fit(*arguments, verbose=0)
    with pytest.raises(UsageError, match="^targets of validation_data must be left out"):
        model.fit(images(), validation_data=(images(), images()), verbose=0)


def test_targets_are_checked_as_images_are():
    model = make_autoencoder()
    for y, message in (
        (images(4), "12 images"),
        (images() * 255, "uint8 images"),
        (np.zeros((12, 9, 9, 1)), "images of"),
    ):
        with pytest.raises(UsageError, match=f"^targets of x must be {message}"):
            model.fit(images(), y, verbose=0)


# Batches


def test_methods_for_one_batch_check_it_as_fit_does():
    model = make_vae(num_classes=CLASSES)
    for method in (model.train_on_batch, model.test_on_batch):
        for arguments, message in (
            (
                (images() * 255, LABELS),
                r"x must be uint8 images, or floats from 0 to 1.*\(convert pixel values to uint8",
            ),
            ((images(),), "labels of x must be 12 integers from 0 to 3, since the model is conditional"),
        ):
            with pytest.raises(UsageError, match=f"^{message}"):
                method(*arguments)
        with pytest.raises(TypeError):
            method(images(), LABELS, np.ones(12))
    with pytest.raises(UsageError, match="^labels of x must be 12 integers"):
        model.predict_on_batch(images())
    assert model.predict_on_batch((images(), LABELS)).shape == (12, *SHAPE)


# predict


@pytest.mark.parametrize(
    "kind, num_classes",
    mostly_slow(
        [(kind, n) for kind in KINDS for n in (0, CLASSES) if not (n and kind == "denoiser")],
        ("vae", CLASSES),
        ("gan", CLASSES),
        ("denoiser", 0),
    ),
)
def test_predict_reconstructs_images_and_decodes_latents(kind, num_classes):
    model = make(kind, **({"num_classes": num_classes} if num_classes else {}))
    makes_images = kind in ("gan", "wgan")
    x = np.random.default_rng(0).normal(size=(12, LATENT)) if makes_images else images()
    given = (x, LABELS) if num_classes else (x,)
    expected = (model.decode(x.astype("float32"), *given[1:]) if makes_images else model.reconstruct(*given)).numpy()
    forms = [given, list(given), dataset(*given), Sequence(*given)]
    forms += [(x, np.eye(CLASSES)[LABELS])] if num_classes else [x]
    for form in forms:
        np.testing.assert_allclose(model.predict(form, batch_size=5, verbose=0), expected, atol=1e-5)
    with pytest.raises(UsageError, match="^x must be "):
        model.predict((x[:, 1:], *given[1:]), verbose=0)
    with pytest.raises(UsageError, match="^x must be "):
        model.predict((x * np.nan, *given[1:]), verbose=0)
    if num_classes:
        with pytest.raises(UsageError, match="^labels of x must be 12 integers from 0 to 3, since the model is cond"):
            model.predict(x, verbose=0)


def test_predict_uses_the_average_of_the_generator_as_generate_does():
    model = make_gan(moving_average=0.9)
    model.fit(images(), verbose=0)
    latents = np.random.default_rng(0).normal(size=(3, LATENT)).astype("float32")
    np.testing.assert_allclose(model.predict(latents, verbose=0), model.decode(latents), atol=1e-6)


# Saving and loading

LOADING = """
import sys, {imports}
for path in sys.argv[1:]:
    model = keras.models.load_model(path)
    print(type(model).__name__, type(model.optimizer).__name__)
    model.save(path)
    keras.models.load_model(path)
"""


@pytest.mark.parametrize(
    "imports",
    mostly_slow(
        ["keras, keras_gen", "keras_gen, keras", "keras_gen, tensorflow; keras = tensorflow.keras",
         "keras_gen.losses, keras"]  # tests/test_package.py tries one of them by default
    ),
)  # fmt: skip
def test_a_fresh_process_loads_every_family_whatever_is_imported_first(tmp_path, imports):
    models = {kind: make(kind) for kind in KINDS}
    models["gan"].compile(keras_gen.optimizers.Adam(1e-3), "adam")
    paths = [str(tmp_path / f"{kind}.keras") for kind in KINDS]
    for model, path in zip(models.values(), paths, strict=True):
        model.save(path)
    program = [sys.executable, "-c", LOADING.format(imports=imports), *paths]
    result = subprocess.run(program, capture_output=True, text=True, env=environment(), check=False)
    assert result.stdout.split() == ["VAE", "SGD", "Autoencoder", "SGD", "GAN", "Adam", "WGAN", "SGD"], result.stderr


def test_what_a_fresh_process_registers_is_all_that_keras_files_contain():
    for module, names in keras_gen._SERIALIZABLE.items():  # imported when they are used
        assert all(isinstance(getattr(importlib.import_module(f"keras_gen.{module}"), name), type) for name in names)
    custom_objects = keras.saving.get_custom_objects()
    registered = {name for name in custom_objects if name.startswith("keras_gen>")}
    listed = {f"keras_gen>{name}" for names in keras_gen._SERIALIZABLE.values() for name in names}
    assert registered == listed
    assert all(isinstance(custom_objects[name], type) for name in listed)  # the classes themselves, once imported


def test_a_file_that_keras_could_not_load_is_not_written(tmp_path):
    model = make_gan()
    with pytest.raises(UsageError, match="^filepath must be a .keras file: "):
        model.save(tmp_path / "model.h5")
    assert not list(tmp_path.iterdir())


# Exporting


def exported(kind, num_classes, path):
    model = make(kind, **({"num_classes": num_classes} if num_classes else {}))
    model.export(path)
    rows = np.random.default_rng(0).normal(size=(3, *model.decoder_network.inputs[0].shape[1:]))
    return model, rows, [LABELS[:3]] if num_classes else []


FAMILIES = [(kind, n) for kind in KINDS for n in (0, CLASSES) if not (n and kind == "denoiser")]


@pytest.mark.parametrize("kind, num_classes", mostly_slow(FAMILIES, ("gan", CLASSES)))
def test_a_saved_model_takes_numpy_s_types_lists_and_no_seed(kind, num_classes, tmp_path):
    model, rows, labels = exported(kind, num_classes, tmp_path / "saved")
    loaded = tf.saved_model.load(tmp_path / "saved")
    expected = model.decode(rows.astype("float32"), *labels).numpy()
    as_lists = [rows.tolist(), *(part.tolist() for part in labels)]
    for given in ([rows, *labels], as_lists, [rows.astype("float32"), *(part.astype("int32") for part in labels)]):
        np.testing.assert_allclose(loaded.decode(*given)["images_float"], expected, atol=1e-6)
    if hasattr(loaded, "generate"):
        same = [loaded.generate(3), loaded.generate(n=np.int64(3), seed=np.int64(0)), loaded.generate(np.int32(3), 0)]
        for result in same:
            np.testing.assert_array_equal(result["images"], model.generate(3)["images"])
        for given in (*labels, *(part.tolist() for part in labels)):
            result = loaded.generate(3, labels=given)
            np.testing.assert_array_equal(result["images"], model.generate(3, labels=LABELS[:3])["images"])


@pytest.mark.parametrize("kind, num_classes", mostly_slow(FAMILIES, ("denoiser", 0)))
def test_a_saved_model_is_a_layer_and_a_lite_model(kind, num_classes, tmp_path):
    model, rows, labels = exported(kind, num_classes, tmp_path / "saved")
    expected = model.decode(rows.astype("float32"), *labels).numpy()
    options = {"labels": tf.constant(labels[0])} if labels else {}
    for name in model.endpoints():
        layer = keras.layers.TFSMLayer(str(tmp_path / "saved"), call_endpoint=name)
        assert name == "encode" or "images" in layer.call_endpoint_fn.concrete_functions[0].structured_outputs
        assert layer.weights
    layer = keras.layers.TFSMLayer(str(tmp_path / "saved"), call_endpoint="decode")
    np.testing.assert_allclose(layer(tf.constant(rows, tf.float32), **options)["images_float"], expected, atol=1e-6)

    for name in set(model.endpoints()) - {"generate"}:
        converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"), signature_keys=[name])
        content = converter.convert()
        if name == "decode":
            run = tf.lite.Interpreter(model_content=content).get_signature_runner(name)
            options = {"labels": labels[0].astype("int32")} if labels else {}
            for count in (3, 1):
                result = run(latents=rows[:count].astype("float32"), **{k: v[:count] for k, v in options.items()})
                np.testing.assert_allclose(result["images_float"], expected[:count], atol=1e-5)


@pytest.mark.parametrize("kind, num_classes", mostly_slow(FAMILIES))
def test_a_lite_model_computes_what_predict_does(kind, num_classes, tmp_path):
    model = make(kind, **({"num_classes": num_classes} if num_classes else {}))
    model.export(tmp_path / "model.tflite", format="litert", verbose=False)
    x = np.random.default_rng(0).normal(size=(3, LATENT)).astype("float32") if kind in ("gan", "wgan") else images(3)
    interpreter = tf.lite.Interpreter(model_path=str(tmp_path / "model.tflite"))
    for detail in interpreter.get_input_details():
        interpreter.resize_tensor_input(detail["index"], [3, *detail["shape"][1:]])
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], x if detail["dtype"] == np.float32 else LABELS[:3].astype("int32"))
    interpreter.invoke()
    expected = model.predict((x, LABELS[:3]) if num_classes else x, verbose=0)
    actual = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    np.testing.assert_allclose(actual, expected, atol=1e-5)


# Networks


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(keras.layers.Flatten()(x))


def test_a_subclassed_network_is_refused_with_what_to_do_and_taken_as_that():
    with pytest.raises(UsageError, match=r"^discriminator must be .*functional keras.Model .*network"):
        GAN(decoder(), Own())
    x = keras.Input(SHAPE)
    model = GAN(decoder(), keras.Model(x, Own()(x)))
    model.compile("sgd", "sgd")
    model.fit(images(), verbose=0)
    assert model.updates == {"d_updates": 1, "g_updates": 1}


def test_spatial_latents_are_refused_with_what_to_do():
    x = keras.Input((2, 2, 3))
    spatial = keras.Model(x, keras.layers.Conv2DTranspose(1, 4, 4)(x))
    for build in (lambda: GAN(spatial, critic()), lambda: VAE(encoder(), spatial)):
        with pytest.raises(UsageError, match="^(generator|decoder) must be a model of latents [^\n]*$"):
            build()

"""Conditional models: labels stay with their images, reach both networks, and are drawn by default."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_helpers import (
    CLASSES,
    LATENT,
    SHAPE,
    critic,
    decoder,
    differ,
    fit,
    given,
    images,
    make_gan,
    make_vae,
    mostly_slow,
    sigmoid,
    weights,
)

from keras_gen import GAN, VAE, WGAN, UsageError
from keras_gen.models import export
from keras_gen.models.pretrained import PretrainedModel


def make(kind, **arguments):
    if kind == "vae":
        return make_vae(**{"num_classes": CLASSES} | arguments)
    return make_gan(**{"num_classes": CLASSES, "kind": {"gan": GAN, "wgan": WGAN}[kind]} | arguments)


KINDS = ["vae", "gan", "wgan"]


def labeled(count, seed=0):
    """Return different random images that encode their label as tenths in pixel (0, 0), and the labels."""
    labels = np.random.default_rng(seed).integers(0, CLASSES, count).astype("uint8")
    x = images(count, seed)
    x[:, 0, 0, 0] = labels / 10
    return x, labels


def labels_in(x):
    """Return the labels that `labeled` encoded in the images."""
    return np.rint(np.asarray(x)[:, 0, 0, 0] * 10).astype(int).tolist()


class Recording:
    """Records the arguments of the objectives."""

    def discriminator_loss(self, real, fake, labels, noise_key, *, training):
        self.seen.append((np.array(real), np.array(labels), len(fake), training))
        return super().discriminator_loss(real, fake, labels, noise_key, training=training)

    def generator_loss(self, real, fake, labels, *, training):
        self.of_generator.append((len(fake), np.array(labels).tolist()))
        return super().generator_loss(real, fake, labels, training=training)

    def call(self, latents, labels=None, training=False):
        self.generated.append((np.array(latents), np.array(labels).tolist()))
        return super().call(latents, labels, training=training)


class RecordingGAN(Recording, GAN):
    pass


class RecordingWGAN(Recording, WGAN):
    pass


class RecordingVAE(VAE):
    def objective(self, x, labels, noise_key, *, training):
        self.seen.append((np.array(x), np.array(labels), len(x), training))
        return super().objective(x, labels, noise_key, training=training)


@pytest.fixture
def recording(monkeypatch):
    for kind in (RecordingGAN, RecordingWGAN, RecordingVAE):
        for name in ("seen", "of_generator", "generated"):
            monkeypatch.setattr(kind, name, [], raising=False)

    def build(kind, **arguments):
        if kind == "vae":
            plain = make_vae(num_classes=CLASSES)
            model = RecordingVAE(plain.encoder, plain.decoder)
            model.compile("sgd", run_eagerly=True)
            return model
        return make_gan({"gan": RecordingGAN, "wgan": RecordingWGAN}[kind], num_classes=CLASSES, **arguments)

    return build


# Labels stay with their images

FORMS = {
    "array": lambda x, y: ((x, y), {"batch_size": 4}),
    "shuffled array": lambda x, y: ((x, y), {"batch_size": 4, "shuffle": True}),
    "column of labels": lambda x, y: ((x, y[:, None]), {"batch_size": 4}),
    "list of labels": lambda x, y: ((x, y.tolist()), {"batch_size": 4}),
    "dataset": lambda x, y: ((tf.data.Dataset.from_tensor_slices((x, y)).batch(4),), {"batch_size": None}),
    "dataset of columns": lambda x, y: (
        (tf.data.Dataset.from_tensor_slices((x, y[:, None].astype("int16"))).batch(4),),
        {"batch_size": None},
    ),
    "dataset of one-hot rows": lambda x, y: (
        (tf.data.Dataset.from_tensor_slices((x, np.eye(CLASSES)[y])).batch(4),),
        {"batch_size": None},
    ),
}


@pytest.mark.parametrize(
    "kind, form",
    mostly_slow(
        [(kind, form) for kind in KINDS for form in FORMS],
        ("vae", "dataset of columns"),
        ("gan", "shuffled array"),
        ("wgan", "dataset"),
    ),
)
def test_every_update_sees_images_with_their_own_labels(recording, kind, form):
    x, labels = labeled(19)
    model = recording(kind, **({"critic_steps": 3} if kind == "wgan" else {}))
    arguments, options = FORMS[form](x, labels)
    fit(model, *arguments, **options)
    assert len(model.seen) == {"vae": 5, "gan": 5, "wgan": 6}[kind]
    for real, seen_labels, _, _ in model.seen:
        assert seen_labels.tolist() == labels_in(real)
    together = np.concatenate([real for real, *_ in model.seen])
    assert len(np.unique(together.reshape(len(together), -1), axis=0)) == 19  # all of them, each at least once
    assert len(together) == 19


@pytest.mark.parametrize("kind", mostly_slow(KINDS, "vae"))
def test_validation_data_keep_their_labels_in_every_form(recording, kind):
    model, (x, labels), (other, other_labels) = recording(kind), labeled(8), labeled(6, seed=1)
    datasets = tf.data.Dataset.from_tensor_slices((other, other_labels)).batch(4)
    values = []
    for validation_data in ((other, other_labels[:, None]), datasets):
        model.set_weights(make(kind).get_weights())
        history = fit(model, x, labels, validation_data=validation_data, batch_size=4)
        values.append(history["val_loss" if kind == "vae" else "val_g_loss"])
        evaluated = [(real, seen) for real, seen, _, training in model.seen if not training]
        assert sum(len(real) for real, _ in evaluated) == 6
        assert all(seen.tolist() == labels_in(real) for real, seen in evaluated)
        model.seen.clear()
        for optimizer in model.optimizers:
            optimizer.iterations.assign(0)
    assert values[0] == values[1]


@pytest.mark.parametrize("kind", mostly_slow(KINDS, "vae"))
def test_a_validation_split_takes_the_last_images_with_their_labels(recording, kind):
    model, (x, labels) = recording(kind), labeled(20)
    fit(model, x, labels, validation_split=0.3, shuffle=True)
    for trained in (True, False):
        parts = [(real, seen) for real, seen, _, training in model.seen if training == trained]
        assert all(seen.tolist() == labels_in(real) for real, seen in parts)
        found = {row.tobytes() for real, _ in parts for row in real}
        assert found == {row.tobytes() for row in (x[:14] if trained else x[14:])}


@pytest.mark.parametrize("ratio", mostly_slow([1, 3], 3))
@pytest.mark.parametrize("kind", ["gan", "wgan"])
def test_a_generator_update_repeats_the_labels_as_often_as_it_has_latents_an_image(recording, kind, ratio):
    model, (x, labels) = recording(kind, generator_batch_ratio=ratio), labeled(20)
    fit(model, x, labels, batch_size=4)
    steps = model.updates["g_updates"]
    last = {"gan": lambda step: labels[4 * step : 4 * step + 4], "wgan": lambda step: labels[4::5]}[kind]
    expected = [[label for label in last(step).tolist() for _ in range(ratio)] for step in range(steps)]
    assert model.of_generator == [(4 * ratio, repeated) for repeated in expected]
    # The very labels that the images were made with.
    made = [used for latents, used in model.generated if len(latents) == 4 * ratio]
    assert [used for used in made if used in expected][-1] == expected[-1]
    assert model.generated[-1][1] == expected[-1]
    for real, seen, count, _ in model.seen:
        assert len(real) == len(seen) == count


# Labels reach both networks


@pytest.mark.parametrize("kind", mostly_slow(KINDS, "vae", "gan"))
def test_evaluation_depends_on_the_labels(kind):
    model, (x, labels) = make(kind), labeled(12)
    right, wrong = (
        model.evaluate(x, y, verbose=0, return_dict=True) for y in (labels, (labels.astype(int) + 1) % CLASSES)
    )
    assert set(right) == set(wrong)
    assert all(right[name] != wrong[name] for name in right)


@pytest.mark.parametrize("kind", mostly_slow(KINDS, "vae"))
def test_one_step_changes_every_weight_of_the_labels_too(kind):
    model, before = make(kind, eager=False), weights(make(kind))
    fit(model, images(20), np.arange(20) % CLASSES, batch_size=4 if kind == "wgan" else 20)
    changed = dict(zip([v.path for v in model.trainable_variables], differ(before, weights(model)), strict=True))
    if kind == "wgan":  # the scores' offset cancels
        changed.pop(model.critic.layers[-1].bias.path)
    assert all(changed.values()), changed
    assert sum("label_plane" in path for path in changed) == 1


def test_the_discriminator_sees_the_label_as_one_hot_rows():
    model, labels = make("gan"), np.array([3, 0, 1])
    expected = model.discriminator(given(images(3), labels, CLASSES))
    np.testing.assert_allclose(model.discriminate(images(3), labels, training=False), expected, atol=1e-6)
    other = model.discriminate(images(3), [0, 0, 1], training=False)
    assert (np.abs(other - expected).ravel() > 1e-4).tolist() == [True, False, False]


def test_a_vae_encodes_decodes_and_reconstructs_by_label():
    model, (x, labels) = make("vae"), labeled(300)
    mean, log_variance = model.encode(x, labels)
    for actual, expected in zip((mean, log_variance), model.encoder(given(x, labels, CLASSES)), strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-5)
    expected = sigmoid(model.decoder(given(mean, labels, CLASSES)))
    np.testing.assert_allclose(model.reconstruct(x, labels), expected, atol=1e-5)
    np.testing.assert_allclose(model.decode(mean, labels), expected, atol=1e-5)
    np.testing.assert_allclose(model(x, labels), expected, atol=1e-5)
    others = (labels.astype(int) + 1) % CLASSES
    assert np.abs(model.encode(x, others)[0] - mean).max() > 1e-3
    assert np.abs(model.decode(mean, others) - expected).max() > 1e-3


# Generation


@pytest.mark.parametrize("kind", mostly_slow(["vae", "gan"], "gan"))
def test_images_are_generated_of_the_given_classes(kind):
    model = make(kind)
    for n in (1, 5, 600):
        labels = np.random.default_rng(0).integers(0, CLASSES, n)
        latents = tf.random.stateless_normal((n, LATENT), [11, 0])
        expected = sigmoid(model.decoder_network(given(latents, labels, CLASSES)))
        forms = [labels.tolist(), labels.astype("uint8")[:, None], tf.constant(labels)] if n == 5 else [labels]
        for form in forms:
            result = model.generate(n, seed=11, labels=form)
            assert set(result) == {"images", "images_float", "labels"}
            np.testing.assert_allclose(result["images_float"], expected, atol=1e-5)
            np.testing.assert_array_equal(result["labels"], labels)
            assert result["labels"].dtype == tf.int32


def test_one_label_is_of_all_images_and_changes_them():
    model = make("gan")
    of_two, of_three = (model.generate(6, seed=1, labels=label) for label in (2, np.int64(3)))
    assert (of_two["labels"].numpy().tolist(), of_three["labels"].numpy().tolist()) == ([2] * 6, [3] * 6)
    np.testing.assert_array_equal(of_two["images_float"], model.generate(6, seed=1, labels=[2] * 6)["images_float"])
    differences = np.abs(of_two["images_float"] - of_three["images_float"])
    assert np.all(differences.max(axis=(1, 2, 3)) > 1e-3)


@pytest.mark.parametrize("kind", mostly_slow(["vae", "gan"], "gan"))
def test_labels_are_drawn_uniformly_by_default_and_depend_on_the_seed(kind):
    model = make(kind)
    result = model.generate(4000, seed=5)
    drawn = result["labels"].numpy()
    counts = np.bincount(drawn, minlength=CLASSES)
    assert len(counts) == CLASSES
    # Four standard deviations of a binomial count with p = 1/4.
    np.testing.assert_allclose(counts, [1000] * CLASSES, atol=4 * np.sqrt(4000 * 3 / 16))
    # Independent of each other: a class follows any other as often.
    pairs = np.bincount(drawn[:-1] * CLASSES + drawn[1:], minlength=CLASSES**2)
    np.testing.assert_allclose(pairs, [250] * CLASSES**2, atol=4 * np.sqrt(250))
    np.testing.assert_array_equal(model.generate(4000, seed=5)["labels"], drawn)
    assert np.mean(model.generate(4000, seed=6)["labels"] == drawn) == pytest.approx(1 / CLASSES, abs=0.04)
    # The latents are those of given labels.
    np.testing.assert_array_equal(model.generate(4000, seed=5, labels=drawn)["images_float"], result["images_float"])


@pytest.mark.parametrize("kind", mostly_slow(["vae", "gan"], "gan"))
def test_a_saved_model_generates_by_label_the_images_of_the_model_bit_for_bit(kind, tmp_path):
    model = make(kind, **({"moving_average": 0.9} if kind == "gan" else {}))
    fit(model, *labeled(8))
    path = export.save(model, tmp_path / "saved", functions=["generate"])
    loaded = export.load(path)
    labels = np.random.default_rng(0).integers(0, CLASSES, 300).astype("int32")
    cases = {
        "drawn": (
            model.generate(300, seed=3),
            [
                loaded.generate(n=300, seed=3),
                loaded.generate(tf.constant(300), tf.constant(3)),
                loaded.signatures["generate"](n=tf.constant(300), seed=tf.constant(3)),
            ],
        ),
        "given": (
            model.generate(300, seed=3, labels=labels),
            [
                loaded.generate(n=300, seed=3, labels=tf.constant(labels)),
                export.generate(path, 300, seed=3, labels=labels.tolist()),
            ],
        ),
        "in turn": (model.generate(5, labels=[2, 0, 2, 0, 2]), [export.generate(path, 5, labels=[2, 0])]),
    }
    for name, (expected, results) in cases.items():
        for result in results:
            assert set(result) == {"images", "images_float", "labels"}
            for key, value in expected.items():
                np.testing.assert_array_equal(result[key], value, err_msg=f"{name} {key}")
    assert np.any(cases["drawn"][0]["images"] != cases["given"][0]["images"])
    for labels, message in (([0, 4], "below 4"), ([0, -1], "at least 0"), ([0, 1, 2], "n integers")):
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"labels must be {message}"):
            loaded.generate(n=2, seed=0, labels=tf.constant(labels))
    for generate in (functools.partial(export.generate, path), PretrainedModel(path).generate):
        with pytest.raises(UsageError, match="^labels must be 2 integers from 0 to 3"):
            generate(2, labels=[7, 7])
    with pytest.raises(UsageError, match="^labels must be 5 integers from 0 to 3"):
        PretrainedModel(path).generate(5, labels=[2, 0])


@pytest.mark.slow
def test_the_saved_model_of_an_unconditional_model_refuses_labels(tmp_path):
    plain = export.save(make_gan(), tmp_path / "plain", functions=["generate"])
    with pytest.raises(UsageError, match="^labels must be left out"):
        export.generate(plain, 2, labels=[1])


def test_the_other_functions_of_a_saved_model_take_labels_last(tmp_path):
    model, (x, labels) = make("vae"), labeled(7)
    path = export.save(model, tmp_path / "saved", functions=["encode", "decode", "reconstruct"])
    loaded = export.load(path, "decode")
    pixels = tf.constant(np.rint(x * 255).astype("uint8"))
    given_labels = tf.constant(labels, tf.int32)
    mean, log_variance = model.encode(pixels, labels)
    encoded = loaded.encode(pixels, given_labels)
    np.testing.assert_allclose(encoded["mean"], mean, atol=1e-6)
    np.testing.assert_allclose(encoded["log_variance"], log_variance, atol=1e-6)
    expected = model.reconstruct(pixels, labels)
    np.testing.assert_allclose(loaded.reconstruct(pixels, given_labels)["images_float"], expected, atol=1e-6)
    np.testing.assert_allclose(loaded.decode(mean, given_labels)["images_float"], expected, atol=1e-6)
    signature = loaded.signatures["decode"](latents=mean, labels=given_labels)
    np.testing.assert_allclose(signature["images_float"], expected, atol=1e-6)
    for wrong in ([CLASSES] * 7, [-1] * 7):
        wrong = tf.constant(wrong, tf.int32)
        for function, argument in ((loaded.decode, mean), (loaded.encode, pixels), (loaded.reconstruct, pixels)):
            with pytest.raises(tf.errors.InvalidArgumentError, match="labels must be "):
                function(argument, wrong)


# What is refused

BAD_LABELS = {
    "missing": (None, "integers from 0 to 3, since the model is conditional, received: None"),
    "floats": (np.zeros(12), "integers from 0 to 3, received: 'float64 of shape"),
    "too many": (np.zeros(13, int), "integers from 0 to 3, received: 'int64 of shape"),
    "one-hot": (np.eye(12, CLASSES, dtype=int), "integers from 0 to 3, received: 'int64 of shape"),
    "too large": (np.arange(12), "integers from 0 to 3, received: '0 to 11'"),
    "negative": (np.arange(12) % CLASSES - 1, "integers from 0 to 3, received: '-1 to 2'"),
}


@pytest.mark.parametrize(
    "kind, bad",
    mostly_slow(
        [(kind, bad) for kind in ("vae", "gan", "wgan") for bad in BAD_LABELS],
        *(("vae", bad) for bad in BAD_LABELS),
        ("gan", "missing"),
        ("wgan", "negative"),
    ),
)
def test_bad_labels_are_refused_by_name_before_the_first_step(kind, bad):
    labels, message = BAD_LABELS[bad]
    model, x, good = make(kind), images(12), np.arange(12) % CLASSES
    before = model.get_weights()
    for call, name in (
        (lambda: model.fit(x, labels, verbose=0), "labels of x"),
        (lambda: model.fit(x, labels, validation_split=0.5, verbose=0), "labels of x"),
        (lambda: model.evaluate(x, labels, verbose=0), "labels of x"),
        (lambda: model.fit(x, good, validation_data=(x, labels), verbose=0), "labels of validation_data"),
    ):
        with pytest.raises(UsageError, match=f"^{name} must be 12 {message}"):
            call()
    if kind == "vae":
        for method in (model.encode, model.reconstruct):
            with pytest.raises(UsageError, match=f"^labels of images must be 12 {message}"):
                method(x, labels)
    assert not any(differ(before, model.get_weights()))


@pytest.mark.parametrize("kind", mostly_slow(KINDS, "vae"))
def test_datasets_and_validation_data_without_labels_are_refused(kind):
    model, x, labels = make(kind), images(12), np.arange(12) % CLASSES
    without = tf.data.Dataset.from_tensor_slices(x).batch(4)
    with pytest.raises(UsageError, match="^labels of x must be 4 integers from 0 to 3, since the model is conditional"):
        model.fit(without, verbose=0)
    with pytest.raises(
        UsageError, match="^labels of validation_data must be 4 integers .*, since the model is conditional"
    ):
        model.fit(x, labels, validation_data=without, verbose=0)
    with pytest.raises(UsageError, match="^labels of validation_data must be 12 integers from 0 to 3, since the model"):
        model.fit(x, labels, validation_data=x, verbose=0)
    floats = tf.data.Dataset.from_tensor_slices((x, labels / 1)).batch(4)
    with pytest.raises(UsageError, match="^labels of x must be 4 integers from 0 to 3, received: 'float64"):
        model.fit(floats, verbose=0)


def test_bad_labels_to_generate_are_refused_by_name():
    model = make("gan")
    for labels in (4, -1, 1.0, True, "1", [0, 1], [0, 1, 2, 3], [0, 1, 4], [[0], [1, 2], [3]], []):
        with pytest.raises(UsageError, match="^labels must be 3 integers from 0 to 3, received: "):
            model.generate(3, labels=labels)


@pytest.mark.parametrize("kind", mostly_slow(["vae", "gan"], "vae"))
def test_a_conditional_model_says_that_decode_and_call_need_labels(kind):
    model = make(kind)
    latents = np.zeros((2, LATENT), "float32")
    with pytest.raises(UsageError, match="^labels must be 2 integers from 0 to 3, since the model is conditional"):
        model.decode(latents)
    for labels in ([0, 4], [0], [-1, 0], "1"):
        with pytest.raises(UsageError, match="^labels must be 2 integers from 0 to 3, received: "):
            model.decode(latents, labels)
    expected = model.decode(latents, [2, 2])
    np.testing.assert_array_equal(model.decode(latents, 2), expected)
    for label in (2, [2, 2]):
        traced = tf.function(lambda z, label=label: model.decode(z, label))(tf.constant(latents))
        np.testing.assert_allclose(traced, expected, atol=1e-6)
    with pytest.raises(UsageError, match="labels must be integers from 0 to 3, since the model is conditional"):
        model(images(2) if kind == "vae" else latents)


@pytest.mark.parametrize("kind", mostly_slow(KINDS, "gan"))
def test_an_unconditional_model_refuses_labels(kind):
    model = make(kind, num_classes=0)
    assert model.num_classes == 0
    for function, argument in ((model.generate, 2), (model.decode, np.zeros((2, LATENT)))):
        with pytest.raises(UsageError, match=r"^labels must be left out: the model was built without classes"):
            function(argument, labels=1)
    assert "labels" not in model.generate(2)


@pytest.mark.parametrize("kind", mostly_slow(KINDS, "vae"))
def test_an_unconditional_model_ignores_labels_in_training(kind):
    results = []
    for labels in (None, np.array(list("abcdefgh"))):
        model = make(kind, num_classes=0)
        history = fit(model, images(8), labels, validation_data=images(8) if labels is None else (images(8), labels))
        results.append((history, model.evaluate(images(8), labels, verbose=0, return_dict=True), weights(model)))
    for history, evaluated, trained in results[1:]:
        assert (history, evaluated) == results[0][:2]
        assert not any(differ(trained, results[0][2]))


def test_the_number_of_classes_is_that_of_the_networks():
    assert make("vae").num_classes == make("gan").num_classes == CLASSES
    with pytest.raises(UsageError, match="^num_classes must be 0, or at least 2, received: 1"):
        decoder(num_classes=1)
    numbers = keras.Input((1,))
    embedded = keras.layers.Flatten()(keras.layers.Embedding(CLASSES, 3)(numbers))
    latents = keras.Input((LATENT,))
    x = keras.layers.Reshape(SHAPE)(keras.layers.Dense(64)(keras.layers.Concatenate()([latents, embedded])))
    with pytest.raises(
        UsageError, match="^generator must be a model with one input, or with one-hot labels of at least"
    ):
        GAN(keras.Model([latents, numbers], x), critic(num_classes=CLASSES))
    with pytest.raises(UsageError, match=r"^discriminator must be a model with labels of 2 classes, like the gener"):
        GAN(decoder(num_classes=2), critic(num_classes=3))
    model = make("gan")
    assert model.image_shape == SHAPE
    assert model.latent_dim == LATENT

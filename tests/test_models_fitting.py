"""The arguments, results and noise of `fit` and `evaluate`, for every model."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_helpers import (
    KINDS,
    LATENT,
    SHAPE,
    assert_close,
    differ,
    fit,
    images,
    make,
    make_gan,
    make_vae,
    mostly_slow,
    pixels,
    sigmoid,
    weights,
)

from keras_gen import VAE, WGAN, UsageError, data, networks, zoo


@pytest.mark.parametrize(
    "eager, kind", mostly_slow([(eager, kind) for eager in (True, False) for kind in KINDS], (False, "denoiser"))
)
def test_one_step_changes_every_trainable_weight(kind, eager):
    model = make(kind, eager=eager)
    before = weights(model)
    fit(model, images(10), batch_size=5 if kind == "wgan" else 10)
    changed = dict(zip([v.path for v in model.trainable_variables], differ(before, weights(model)), strict=True))
    if kind == "wgan":
        # The scores' offset cancels in mean critic(x) − mean critic(G(z)).
        offset = model.critic.layers[-1].bias.path
        changed.pop(offset)
    assert all(changed.values()), changed


@pytest.mark.parametrize("kind", mostly_slow(["gan", "wgan"], "gan"))
def test_each_optimizer_trains_its_own_network_only(kind):
    for rates, moved in (((0.0, 0.1), "discriminator"), ((0.1, 0.0), "generator")):
        model = make(kind, optimizers=[keras.optimizers.SGD(rate / 10) for rate in rates])
        before = {name: [v.numpy() for v in getattr(model, name).weights] for name in ("generator", "discriminator")}
        fit(model, images(10), batch_size=5)
        for name, old in before.items():
            assert any(differ(old, [v.numpy() for v in getattr(model, name).weights])) is (name == moved)


@pytest.mark.parametrize("kind", mostly_slow(KINDS, "vae"))
def test_data_of_unknown_length_train_as_those_of_known_length(kind):
    """Keras detects their end with an additional step, which must not change anything."""
    known = tf.data.Dataset.from_tensor_slices(images(10)).batch(4)
    arguments = {} if kind in ("vae", "denoiser") else {"moving_average": 0.5}
    states = []
    for dataset in (known, known.filter(lambda batch: True)):
        model = make(kind, eager=False, **arguments)
        history = model.fit(dataset, epochs=2, validation_data=dataset, verbose=0).history
        states.append((model.updates, model.get_weights(), history))
    (updates, before, expected), (other_updates, after, history) = states
    assert updates == other_updates
    assert not any(differ(before, after))
    assert history == expected


# Noise


@pytest.mark.parametrize("kind", mostly_slow(KINDS, "vae"))
def test_evaluation_is_repeatable_and_changes_no_weight(kind):
    model = make(kind, eager=False)
    before = model.get_weights()
    first = model.evaluate(images(10), batch_size=4, verbose=0, return_dict=True)
    second = model.evaluate(images(10), batch_size=4, verbose=0, return_dict=True)
    assert first == second
    fit(model, images(20), validation_data=images(10))
    trained = weights(model)
    model.set_weights(before)
    assert model.evaluate(images(10), batch_size=4, verbose=0, return_dict=True) == first
    model.evaluate(images(10), verbose=0)
    assert any(differ(trained, weights(model)))
    assert_close(model.trainable_variables, make(kind).trainable_variables, atol=0)


@pytest.mark.parametrize("kind", mostly_slow(KINDS, "gan"))
def test_every_batch_of_an_evaluation_has_noise_of_its_own(kind):
    model, batch = make(kind), images(4)
    once = model.evaluate(batch, batch_size=4, verbose=0, return_dict=True)
    twice = model.evaluate(np.concatenate([batch, batch]), batch_size=4, verbose=0, return_dict=True)
    assert once != twice


def test_evaluation_reports_the_mean_over_all_images_of_uneven_batches():
    # Batches of 4 and 2: the larger counts twice. The KL term has no noise.
    model = make_vae()
    mean, log_variance = (np.asarray(values, float) for values in model.encode(images(6)))
    expected = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1).mean()
    values = model.evaluate(images(6), batch_size=4, verbose=0, return_dict=True)
    assert values["kl"] == pytest.approx(expected, rel=1e-5)


def still(kind, seed):
    """Make a model whose weights do not change, so that its results differ by the noise only."""
    frozen = [keras.optimizers.SGD(0.0) for _ in range(2)]
    arguments = {"optimizers": frozen} if kind in ("gan", "wgan") else {"optimizer": frozen[0]}
    model = make(kind, **arguments)
    model.seed = seed
    return model


@pytest.mark.parametrize("kind", mostly_slow(KINDS, "vae"))
def test_training_noise_is_new_in_every_step_and_a_function_of_seed_and_step(kind):
    name = {"vae": "reconstruction", "denoiser": "corrupted_mse"}.get(kind, "g_loss")
    batch = np.repeat(images(1), 4, axis=0)
    size = {"batch_size": 2 if kind == "wgan" else 4, "epochs": 2}
    first = fit(still(kind, 5), batch, **size)[name]
    assert len(set(first)) == 2
    assert not set(fit(still(kind, 6), batch, **size | {"epochs": 1})[name]) & set(first)
    later = still(kind, 5)
    later.optimizer.iterations.assign(1)
    assert fit(later, batch, **size | {"epochs": 1})[name] == first[1:]


def test_training_and_evaluation_noise_differ():
    model, batch = still("vae", 0), images(4)
    trained = fit(model, batch)["reconstruction"][0]
    assert model.evaluate(batch, batch_size=4, verbose=0, return_dict=True)["reconstruction"] != trained


@pytest.mark.parametrize("kind", mostly_slow(KINDS, "denoiser"))
def test_two_trainings_from_one_seed_are_bit_identical(kind):
    results = []
    for _ in range(2):
        model = make(kind, eager=kind == "wgan")
        history = fit(model, images(), epochs=2, shuffle=True)
        results.append((history, weights(model)))
    assert results[0][0] == results[1][0]
    assert not any(differ(results[0][1], results[1][1]))


# What fit takes


@pytest.mark.parametrize("kind", mostly_slow(KINDS, "vae"))
def test_all_forms_of_the_same_images_train_the_same(kind):
    x, labels = pixels(8), np.arange(8)
    scaled = (x / 255).astype("float32")

    def trained(data, y=None, **arguments):
        model = make(kind)
        history = fit(model, data, y=y, **arguments)
        return weights(model), history

    def dataset(*components):
        return tf.data.Dataset.from_tensor_slices(components if len(components) > 1 else components[0]).batch(4)

    expected, history = trained(x)
    assert all(np.all(np.isfinite(array)) for array in expected)
    from_dataset = {"batch_size": None, "shuffle": True}
    others = [trained(scaled), trained(dataset(x), **from_dataset), trained(dataset(scaled, labels), **from_dataset)]
    if kind == "vae":  # what comes before the steps is common to all models
        others += [trained(x[..., 0]), trained(x, labels)]
    for actual, other_history in others:
        assert_close(actual, expected, atol=1e-6)
        for name, values in history.items():
            np.testing.assert_allclose(other_history[name], values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", mostly_slow(KINDS, "vae"))
def test_all_forms_of_validation_data_report_the_same(kind):
    x, labels = pixels(6, seed=1), np.arange(6)
    scaled = (x / 255).astype("float32")
    model = make(kind)

    def validated(validation_data):
        model.set_weights(start)
        for optimizer in model.optimizers:
            optimizer.iterations.assign(0)
        history = fit(model, images(4), batch_size=4, validation_data=validation_data)
        return {name: values[0] for name, values in history.items() if name.startswith("val_")}

    start = model.get_weights()
    expected = validated(x)
    assert expected
    forms = [(scaled, labels), tf.data.Dataset.from_tensor_slices((x, labels)).batch(4)]
    for form in forms:
        assert validated(form) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    evaluated = model.evaluate(x, batch_size=4, verbose=0, return_dict=True)
    assert {f"val_{name}": value for name, value in evaluated.items()} == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_validation_split_holds_the_last_images_out():
    history = fit(make_vae(), images(12), np.arange(12), validation_split=0.5)
    assert {"loss", "val_loss"} <= set(history)
    model = make_vae()
    alone = fit(model, images(12)[:6])
    assert history["loss"] == pytest.approx(alone["loss"], rel=1e-5)
    expected = model.evaluate(images(12)[6:], batch_size=4, verbose=0, return_dict=True)
    assert history["val_loss"][0] == pytest.approx(expected["loss"], rel=1e-5)
    with pytest.raises(UsageError, match="^validation_split must be"):
        model.fit(images(1), validation_split=0.5, verbose=0)
    with pytest.raises(UsageError, match="^validation_split must be 0 for a dataset"):
        model.fit(tf.data.Dataset.from_tensor_slices(images(4)).batch(2), validation_split=0.5, verbose=0)


@pytest.mark.parametrize("low, high", [(0, 1), (-1, 1)])
def test_uint8_images_are_scaled_to_the_value_range_and_back(low, high):
    model = make_gan(value_range=(low, high))
    scaled = model.to_value_range(tf.constant([0, 51, 255], tf.uint8))
    np.testing.assert_allclose(scaled, [low, low + 0.2 * (high - low), high], atol=1e-6)
    np.testing.assert_allclose(model.to_unit_range(scaled), [0, 0.2, 1], atol=1e-6)
    np.testing.assert_array_equal(model.to_unit_range(tf.constant([low - 3.0, high + 3.0])), [0, 1])


def test_the_output_activation_follows_the_value_range():
    latents = np.random.default_rng(0).normal(size=(5, LATENT)).astype("float32")
    for value_range, activation in (((0, 1), sigmoid), ((-1, 1), np.tanh)):
        model = make_gan(value_range=value_range)
        np.testing.assert_allclose(model.decode(latents), activation(model.generator(latents)), atol=1e-6)
    model = make_gan(from_logits=False)
    np.testing.assert_array_equal(model.decode(latents), model.generator(latents))


@pytest.mark.parametrize("argument", ["sample_weight", "class_weight"])
def test_weights_of_images_are_refused(argument):
    model = VAE(networks.mlp_encoder(SHAPE, latent_dim=2), networks.mlp_decoder(SHAPE, latent_dim=2))
    model.compile("sgd")
    with pytest.raises(UsageError, match=f"^fit takes no {argument}"):
        model.fit(np.zeros((4, *SHAPE), np.uint8), verbose=0, **{argument: np.ones(4)})


@pytest.mark.parametrize("kind", KINDS)
def test_validation_data_with_weights_are_refused(kind):
    x = images(4)
    with pytest.raises(UsageError, match=r"^validation_data must be images, or \(images, labels\), without weigh"):
        make(kind).fit(x, validation_data=(x, np.arange(4), np.ones(4)), verbose=0)


def test_an_evaluation_after_a_fit_with_another_number_of_steps_a_call_sees_all_images():
    model = make_vae()
    model.compile("sgd", steps_per_execution=4)
    expected = model.evaluate(images(40), batch_size=4, verbose=0, return_dict=True)
    learned = model.get_weights()
    model.fit(images(40), batch_size=4, steps_per_epoch=3, validation_data=images(12), verbose=0)
    model.set_weights(learned)
    assert model.evaluate(images(40), batch_size=4, verbose=0, return_dict=True) == pytest.approx(expected)


def test_batches_that_are_distributed_already_are_refused_on_one_device():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    dataset = strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensor_slices(images(8)).batch(4))
    with pytest.raises(UsageError, match="^x must be a tf.data.Dataset, which fit distributes to the devices, "):
        make_vae().fit(dataset)


@pytest.mark.parametrize(("steps", "together"), mostly_slow([(6, 4), (7, 4), (8, 4), (3, 32)], (7, 4)))
def test_an_epoch_has_as_many_steps_as_it_says_however_many_are_executed_together(steps, together):
    model = make_vae(eager=False)
    model.compile(keras.optimizers.SGD(1e-3), steps_per_execution=together)
    endless = tf.data.Dataset.from_tensors(pixels(4)).repeat()
    model.fit(endless, steps_per_epoch=steps, epochs=2, verbose=0)
    assert model.updates == {"updates": 2 * steps}
    assert model.steps_per_execution == together
    model.fit(pixels(4 * steps), batch_size=4, verbose=0)  # of arrays Keras knows the end
    assert model.updates == {"updates": 3 * steps}


def test_evaluations_and_predictions_take_as_many_steps_as_they_are_told_even_within_fit():
    model = make_vae(eager=False)
    model.compile(keras.optimizers.SGD(0.0), steps_per_execution=4)
    seen = tf.data.Dataset.from_tensor_slices(pixels(40)).batch(4)
    expected = model.evaluate(seen.take(3), verbose=0, return_dict=True)
    assert model.evaluate(seen, steps=3, verbose=0, return_dict=True) == pytest.approx(expected)
    np.testing.assert_array_equal(model.predict(seen, steps=3, verbose=0), model.predict(seen.take(3), verbose=0))
    within = []

    def evaluate(epoch, logs):
        within.append(model.evaluate(seen, steps=3, verbose=0, return_dict=True))
        assert len(model.predict(seen, steps=1, verbose=0)) == 4

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=evaluate)
    endless = seen.repeat()
    history = model.fit(
        endless, steps_per_epoch=8, validation_data=endless, validation_steps=2, callbacks=[callback], verbose=0
    ).history
    assert within == [pytest.approx(expected)] * 4
    expected = model.evaluate(seen.take(2), verbose=0, return_dict=True)
    assert {name: history[f"val_{name}"][0] for name in expected} == pytest.approx(expected)
    assert model.steps_per_execution == 4
    assert len(model.predict(seen, verbose=0)) == 40


@pytest.mark.parametrize(
    ("whole", "most", "chosen"), [(860, 32, 20), (859, 32, 1), (860, 1, 1), (64, 32, 32), (6, 4, 3), (1, 32, 1)]
)
def test_steps_in_a_call_divide_the_whole(whole, most, chosen):
    model = make_vae()
    model.limit_steps_per_execution(whole, most)
    assert model.steps_per_execution == chosen


def test_batches_of_the_package_are_epochs_of_all_images():
    batches = data.batches(pixels(10), batch_size=4, seed=1)
    model, same = make_vae(), make_vae()
    history = model.fit(batches, epochs=2, verbose=0).history
    expected = same.fit(batches.dataset, steps_per_epoch=3, epochs=2, verbose=0).history
    assert model.updates == {"updates": 6}
    assert history == expected


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (make_vae, {"images": np.zeros((9, 8, 9, 1), np.uint8)}, "batches of images of shape (8, 8, 1), received: "),
        (lambda: make_vae(num_classes=3), {}, "batches with labels from 0 to 2, received: 'no labels'"),
        (lambda: make_vae(num_classes=3), {"labels": np.arange(10)}, "from 0 to 2, received: 'labels up to 9'"),
        (lambda: make_gan(WGAN, critic_steps=2), {}, "batches from data.batches with batches_per_step=2, received: 1"),
    ],
    ids=["shape", "no labels", "labels", "steps"],
)
def test_batches_for_another_model_are_refused(build, options, message):
    options = {"images": pixels(10), "batch_size": 4, "seed": 0} | options
    with pytest.raises(UsageError, match=re.escape(message)):
        build().fit(data.batches(**options), verbose=0)


def test_batches_from_within_an_epoch_need_the_number_of_steps():
    batches = data.batches(pixels(20), batch_size=4, seed=0, initial_step=2)
    model = make_vae()
    with pytest.raises(UsageError, match="^steps_per_epoch must be given for batches that start within an epoch .3 to"):
        model.fit(batches, verbose=0)
    model.fit(batches, steps_per_epoch=3, verbose=0)
    assert model.updates == {"updates": 3}
    with pytest.raises(UsageError, match="^initial_step must be less than 5, the steps per epoch, received: 5"):
        data.batches(pixels(20), batch_size=4, seed=0, initial_step=5)


def test_a_step_of_several_batches_takes_images_of_all_of_them():
    batches = data.batches(pixels(20), batch_size=4, seed=0, batches_per_step=2)
    assert batches.steps_per_epoch == 3
    model = make_gan(WGAN, critic_steps=2)
    model.fit(batches, verbose=0)
    assert model.updates == {"critic_updates": 6, "g_updates": 3}


def test_predict_returns_every_image_after_a_fit_with_another_number_of_steps_a_call():
    model = zoo.build("vae-mlp", (8, 8, 1), hidden=4)
    images = np.zeros((40, 8, 8, 1), np.uint8)
    predict = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: model.predict(images[:8], verbose=0))
    model.fit(images, batch_size=8, steps_per_epoch=1, verbose=0, callbacks=[predict])
    assert len(model.predict(images, batch_size=4, verbose=0)) == len(images)

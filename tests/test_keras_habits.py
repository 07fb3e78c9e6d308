"""Training habits of Keras users: every option of optimizers, callbacks and layers works as in Keras, or is refused.

Each habit is tried with one family by default, with the others in the slow suite.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.optimizers import SGD, LossScaleOptimizer
from model_helpers import (
    KINDS,
    LATENT,
    SHAPE,
    fit,
    images,
    make,
    make_autoencoder,
    make_vae,
    mostly_slow,
    pixels,
    weights,
)

from keras_gen import GAN, VAE, WGAN, Autoencoder, UsageError, data, networks, zoo
from keras_gen.models import updates

RATE = 1e-2
SCHEDULE = keras.optimizers.schedules.ExponentialDecay(RATE, 2, 0.5)


def families(*fast):
    return pytest.mark.parametrize("kind", mostly_slow(KINDS, *fast))


def is_adversarial(kind):
    return kind in ("gan", "wgan")


def parts(kind):
    """Return two networks for a kind of model."""
    decoder = networks.mlp_decoder(SHAPE, latent_dim=LATENT, hidden=(4,))
    if is_adversarial(kind):
        return decoder, networks.mlp_discriminator(SHAPE, hidden=(4,))
    if kind == "vae":
        return networks.mlp_encoder(SHAPE, latent_dim=LATENT, hidden=(4,)), decoder
    return keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(LATENT)]), decoder


def compiled(kind, optimizer=lambda: SGD(RATE), *, graph=False, **arguments):
    """Return a model whose optimizers are the results of calls of `optimizer`."""
    keras.utils.set_random_seed(0)
    if kind == "denoiser":
        arguments = {"corruption": "gaussian", "corruption_level": 0.3} | arguments
    if kind == "wgan":
        arguments = {"critic_steps": 2} | arguments
    model = {"vae": VAE, "denoiser": Autoencoder, "gan": GAN, "wgan": WGAN}[kind](*parts(kind), **arguments)
    model.compile(*[optimizer() for _ in range(1 + is_adversarial(kind))], run_eagerly=not graph)
    return model


def trained(kind, optimizer=lambda: SGD(RATE), epochs=2, graph=False, **arguments):
    model = compiled(kind, optimizer, graph=graph)
    fit(model, images(16), epochs=epochs, **arguments)
    return model


def distance(model, other):
    return max(np.abs(a - b).max() for a, b in zip(weights(model), weights(other), strict=True))


def networks_of(model):
    return (model.generator, model.discriminator) if hasattr(model, "generator") else (model.encoder, model.decoder)


# Optimizers


@pytest.mark.parametrize("scale", [lambda **scale: SGD(RATE, **scale), lambda **_: LossScaleOptimizer(SGD(RATE))])
@families("vae")
def test_loss_scaling_changes_nothing_but_the_range_of_gradients(kind, scale):
    plain = trained(kind, graph=True)
    scaled = trained(kind, lambda: scale(loss_scale_factor=1024.0), graph=True)
    assert distance(plain, compiled(kind)) > 1e-4
    assert distance(plain, scaled) < 1e-6
    assert scaled.updates == plain.updates


@families("wgan")
def test_networks_of_half_precision_get_loss_scaling(kind):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = compiled(kind)
    finally:
        keras.config.set_dtype_policy("float32")
    assert all(isinstance(optimizer, LossScaleOptimizer) for optimizer in model.optimizers)
    before = weights(model)
    fit(model, images(8))
    assert any(np.abs(a - b).max() > 0 for a, b in zip(before, weights(model), strict=True))
    arguments = [SGD(RATE) for _ in model.optimizers]
    model.compile(*arguments, auto_scale_loss=False)
    assert list(model.optimizers) == arguments


@pytest.mark.parametrize("kind", ["vae", "gan"])
def test_accumulated_gradients_are_their_mean(kind):
    """Two batches and an update equal Keras' optimizer applied to the mean of the two batches' gradients."""
    recorded = []

    class Recording(SGD):
        def apply(self, grads, trainable_variables=None):
            recorded.append([np.array(gradient) for gradient in grads])
            super().apply(grads, trainable_variables)

    model = compiled(kind, lambda: Recording(RATE, gradient_accumulation_steps=2))
    before = [[v.numpy() for v in network.trainable_variables] for network in model.trained_networks()]
    fit(model, images(8), batch_size=4)
    count = len(model.optimizers)
    assert set(model.updates.values()) == {1}
    for index, network in enumerate(model.trained_networks()):
        optimizer = list(reversed(model.optimizers)).index(model.optimizers[index])  # the discriminator's comes first
        first, second = recorded[optimizer], recorded[count + optimizer]
        assert np.abs(first[0] - second[0]).max() > 0
        for start, end, a, b in zip(before[index], network.trainable_variables, first, second, strict=True):
            np.testing.assert_allclose(end.numpy(), start - RATE * (a + b) / 2, atol=1e-7)


@families("wgan")
def test_noise_differs_between_accumulated_batches(kind):
    model = compiled(kind, lambda: SGD(0.0, gradient_accumulation_steps=4), graph=True)
    batch = np.repeat(images(4), 2, axis=0)
    histories = [fit(model, batch[:4], batch_size=4)["g_loss" if is_adversarial(kind) else "loss"] for _ in range(2)]
    assert histories[0] != histories[1]


def test_the_moving_average_moves_with_updates_only():
    model = compiled("gan", lambda: SGD(0.1, gradient_accumulation_steps=2), moving_average=0.5)
    start = model.generator_average.get_weights()
    fit(model, images(4), batch_size=4)
    assert all(np.array_equal(a, b) for a, b in zip(start, model.generator_average.get_weights(), strict=True))
    fit(model, images(4), batch_size=4)
    decay = 2 / 11
    for average, before, weight in zip(
        model.generator_average.get_weights(), start, model.generator.get_weights(), strict=True
    ):
        np.testing.assert_allclose(average, decay * before + (1 - decay) * weight, atol=1e-7)


@pytest.mark.parametrize("option", [{"clipnorm": 1e-3}, {"global_clipnorm": 1e-3}, {"clipvalue": 1e-4}])
@families("gan")
def test_clipping_bounds_an_update(kind, option):
    model = compiled(kind, lambda: SGD(1.0, **option))
    before = [[v.numpy() for v in network.trainable_variables] for network in model.trained_networks()]
    fit(model, images(4), batch_size=4)
    updates_of_discriminator = model.batches_per_step
    for index, (network, old) in enumerate(zip(model.trained_networks(), before, strict=True)):
        moves = [v.numpy() - start for v, start in zip(network.trainable_variables, old, strict=True)]
        times = updates_of_discriminator if index == 1 else 1
        if "clipvalue" in option:
            assert 0 < max(np.abs(move).max() for move in moves) <= 1.001e-4 * times
        elif "clipnorm" in option:
            assert 0 < max(np.linalg.norm(move) for move in moves) <= 1.001e-3 * times
        else:
            assert 0 < np.sqrt(sum((move**2).sum() for move in moves)) <= 1.001e-3 * times


@families("wgan")
def test_weight_decay_shrinks_the_weights(kind):
    model = compiled(kind, lambda: SGD(1e-9, weight_decay=1e8))  # rate x decay = 0.1
    before = weights(model)
    fit(model, images(4 * model.batches_per_step), batch_size=4)
    factors = {
        round(float(b.ravel()[0] / a.ravel()[0]), 4) for a, b in zip(before, weights(model), strict=True) if a.any()
    }
    assert factors <= {0.9, round(0.9**model.batches_per_step, 4)}


@families("gan")
def test_averaged_weights_are_the_weights_at_the_end_of_fit(kind):
    model = compiled(kind, lambda: SGD(RATE, use_ema=True, ema_momentum=0.5))
    networks_ = model.trained_networks()
    seen = []

    class Record(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append([v.numpy() for network in networks_ for v in network.trainable_variables])

    fit(model, images(8 * model.batches_per_step), batch_size=4, callbacks=[Record()])
    averages = [0.5 * first + 0.5 * second for first, second in zip(*seen, strict=True)]
    final = [v.numpy() for network in networks_ for v in network.trainable_variables]
    counted = len(networks_[0].trainable_variables) if kind == "wgan" else len(final)  # its critic has more updates
    for average, weight in list(zip(averages, final, strict=True))[:counted]:
        np.testing.assert_allclose(weight, average, atol=1e-7)
    if kind == "wgan":
        assert any(np.abs(w - s).max() > 0 for w, s in zip(final[counted:], seen[-1][counted:], strict=True))


@families("denoiser")
def test_a_schedule_counts_updates(kind):
    model = trained(kind, lambda: SGD(SCHEDULE), epochs=1)
    steps = 16 // (4 * model.batches_per_step)
    assert float(model.optimizer.learning_rate) == pytest.approx(RATE * 0.5 ** (steps / 2))
    assert distance(model, trained(kind, epochs=1)) > 0


# Callbacks


@families("gan")
def test_a_learning_rate_scheduler_reaches_all_optimizers(kind):
    model = compiled(kind)
    for index, optimizer in enumerate(model.optimizers):
        optimizer.learning_rate = RATE * (index + 1)
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    history = fit(model, images(8), epochs=2, callbacks=[scheduler])
    for index, optimizer in enumerate(model.optimizers):
        assert float(optimizer.learning_rate) == pytest.approx(RATE * (index + 1) / 4)
    assert history["learning_rate"] == pytest.approx([RATE / 2, RATE / 4])


@families("wgan")
def test_a_plateau_reduces_all_learning_rates(kind):
    model = compiled(kind, lambda: SGD(1e-8))
    monitor = "g_loss" if is_adversarial(kind) else "loss"
    plateau = keras.callbacks.ReduceLROnPlateau(monitor, factor=0.1, patience=1, mode="min", min_delta=1e3)
    fit(model, images(8), epochs=2, callbacks=plateau)
    assert [float(optimizer.learning_rate) for optimizer in model.optimizers] == pytest.approx(
        [1e-9] * len(model.optimizers)
    )


@families("vae", "gan")
def test_early_stopping_and_model_checkpoint_monitor_a_reported_quantity(kind, tmp_path):
    model = compiled(kind, lambda: SGD(0.0))
    monitor = "val_g_loss" if is_adversarial(kind) else "val_loss"
    stopping = keras.callbacks.EarlyStopping(monitor, patience=1, mode="min")
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor, save_best_only=True, mode="min")
    history = fit(model, images(8), epochs=9, validation_data=images(4), callbacks=[stopping, best])
    assert len(history[monitor]) == 2
    assert distance(keras.models.load_model(tmp_path / "best.keras"), model) == 0


@pytest.mark.parametrize("kind", ["gan", "wgan"])
def test_a_callback_that_monitors_what_is_not_reported_is_refused(kind, tmp_path):
    model = compiled(kind)
    with pytest.raises(
        UsageError, match="^monitor of EarlyStopping must be a quantity that the model reports .*g_loss.*'val_loss'$"
    ):
        fit(model, images(4), callbacks=[keras.callbacks.EarlyStopping()])
    with pytest.raises(ValueError, match="Pass `mode='max'`"):  # Keras' own
        fit(model, images(4), callbacks=[keras.callbacks.EarlyStopping("g_loss")])
    fit(model, images(4), callbacks=[keras.callbacks.ModelCheckpoint(tmp_path / "each.keras")])


@families("gan")
def test_training_ends_at_nan(kind):
    model = compiled(kind, lambda: SGD(float("nan")))
    seen = []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    fit(model, images(40), batch_size=2, callbacks=[keras.callbacks.TerminateOnNaN(), count])
    assert 1 <= len(seen) <= 2


@families("vae")
def test_backup_and_restore_continues_with_weights_and_optimizers(kind, tmp_path):
    def adam():
        return keras.optimizers.Adam(RATE)

    whole = trained(kind, adam, epochs=2)

    class Fail(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        trained(kind, adam, epochs=2, callbacks=[backup, Fail()])
    resumed = trained(kind, adam, epochs=2, callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "backup")])
    assert resumed.updates == whole.updates
    assert distance(resumed, whole) < 1e-6


def test_no_progress_bar_counts_steps_beyond_the_last(capsys):
    model = compiled("vae", graph=True)
    model.compile(SGD(RATE), steps_per_execution=4)
    for method in (model.fit, model.evaluate, model.predict):
        method(images(12), batch_size=2, verbose=1)
        shown = capsys.readouterr().out
        assert ("6/6" in shown, "8/6" in shown) == (True, False)


# Layers


@pytest.mark.parametrize("part", [0, 1])
@families("vae", "gan")
def test_a_frozen_network_stays_and_the_other_one_is_trained(kind, part):
    model = compiled(kind)
    frozen, other = networks_of(model)[part], networks_of(model)[1 - part]
    frozen.trainable = False
    with pytest.raises(UsageError, match="must be compiled again, with new optimizers, after layers were frozen"):
        fit(model, images(8))
    model.compile(*[SGD(RATE) for _ in model.optimizers], run_eagerly=True)
    before, moved = frozen.get_weights(), other.get_weights()
    noise = "g_loss" if is_adversarial(kind) else "loss"
    history = fit(model, images(4), epochs=2, batch_size=4)
    assert all(np.array_equal(a, b) for a, b in zip(before, frozen.get_weights(), strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(moved, other.get_weights(), strict=True))
    assert history[noise][0] != history[noise][1]


@families("vae", "gan")
def test_an_optimizer_of_another_model_is_refused(kind):
    first, second = make(kind), make(kind)
    second.compile(*first.optimizers)
    with pytest.raises(UsageError, match="must be compiled again, with new optimizers, since its own was used for an"):
        fit(second, images(4))


@families("denoiser", "wgan")
def test_a_model_of_frozen_networks_is_refused(kind):
    model = compiled(kind)
    for network in networks_of(model):
        network.trainable = False
    model.compile(*[SGD(RATE) for _ in model.optimizers], run_eagerly=True)
    with pytest.raises(UsageError, match="must have trainable weights: all layers are frozen$"):
        fit(model, images(4))
    assert model.evaluate(images(4), verbose=0, return_dict=True)


class AddsLoss(keras.layers.Layer):
    def call(self, inputs):
        self.add_loss(3.0 * tf.reduce_mean(inputs))
        return inputs


def regularized(kind):
    """Return a model whose images come from a layer with a regularizer and one that adds a loss, and the first."""
    inputs = keras.Input((LATENT,))
    layer = keras.layers.Dense(64, kernel_regularizer=keras.regularizers.L2(0.5))
    decoder = keras.Model(inputs, AddsLoss()(keras.layers.Reshape(SHAPE)(layer(inputs))))
    own = parts(kind)
    networks_ = (decoder, own[1]) if is_adversarial(kind) else (own[0], decoder)
    return {"vae": VAE, "denoiser": Autoencoder, "gan": GAN, "wgan": WGAN}[kind](*networks_), layer


@families("vae", "gan")
def test_losses_of_layers_are_minimized_as_in_keras(kind):
    model, layer = regularized(kind)
    batch = images(4 * model.batches_per_step)
    results, gradients = [], []
    for factor in (0.0, 0.5):
        layer.kernel.regularizer = keras.regularizers.L2(factor) if factor else None
        start = layer.kernel.numpy()
        others = [v.numpy() for v in model.variables]
        model.compile(*[SGD(0.1) for _ in model.trained_networks()], run_eagerly=True)
        results.append(fit(model, batch, batch_size=len(batch))["g_loss" if is_adversarial(kind) else "loss"][0])
        gradients.append((start - layer.kernel.numpy()) / 0.1)
        for variable, value in zip(model.variables, others, strict=True):
            variable.assign(value)
    # The gradient of 0.5 Σ w² is w.
    np.testing.assert_allclose(gradients[1] - gradients[0], start, atol=1e-4)
    penalty = 0.5 * np.sum(start**2)
    assert results[1] - results[0] == pytest.approx(0 if is_adversarial(kind) else penalty, rel=1e-4, abs=1e-5)


def test_losses_that_layers_add_are_those_of_all_calls_in_the_objective():
    layer = AddsLoss()
    network = keras.Sequential([keras.Input((2,)), layer])

    def objective():
        network(tf.ones((1, 2))), network(tf.ones((1, 2)))
        return tf.zeros(1), {"loss": tf.zeros(1)}

    for _ in range(2):
        losses, values = updates.with_layer_losses(network, objective)
        assert losses.numpy() == values["loss"].numpy() == [6.0]


# Attributes


@pytest.mark.parametrize(
    "kind, name, value",
    mostly_slow(
        [("vae", "beta", 50.0), ("vae", "free_bits", 9.0), ("wgan", "weight_clip", 1e-3)]
        + [("gan", "generator_batch_ratio", 3)],
        ("vae", "beta", 50.0),
    ),
)
def test_a_new_value_counts_from_the_next_step(kind, name, value):
    changed, built = compiled(kind, graph=True), compiled(kind, graph=True, **{name: value})
    fit(changed, images(8))
    fit(built, images(8))

    class Change(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            setattr(self.model, name, value)

    changed.set_weights(built.get_weights())
    fit(changed, images(8), callbacks=[Change()])
    fit(built, images(8))
    assert distance(changed, built) == 0
    with pytest.raises(UsageError, match=f"^{name} must be "):
        setattr(changed, name, -1)


@pytest.mark.parametrize(
    "kind, name, value",
    [
        ("vae", "likelihood", "gaussian"),
        ("vae", "scale", 2.0),
        ("wgan", "critic_steps", 3),
        ("gan", "objective", "saturating"),
    ]
    + [("denoiser", "corruption_level", 0.1), ("gan", "moving_average", 0.9), ("vae", "from_logits", False)]
    + [("wgan", "gradient_penalty", 0), ("gan", "generator", None), ("vae", "decoder", None)]
    + [("gan", "generator", keras.Sequential([keras.Input((LATENT,)), keras.layers.Dense(2)]))],
)
def test_an_attribute_on_which_the_model_is_built_is_refused_a_new_value(kind, name, value):
    model = compiled(kind)
    variables, layers = list(model.variables), list(model.layers)
    with pytest.raises(UsageError, match=f"^{name} must be given to .* when it is built, and stay "):
        setattr(model, name, value)
    setattr(model, name, getattr(model, name))
    assert (list(model.variables), list(model.layers)) == (variables, layers)


# Networks that end in an activation, objectives with other quantities


def decoder_with(*layers):
    return keras.Sequential([keras.Input((LATENT,)), *layers])


@pytest.mark.parametrize(
    "layers",
    [
        [keras.layers.Dense(64, activation="sigmoid"), keras.layers.Reshape(SHAPE)],
        [keras.layers.Dense(64), keras.layers.Activation("elu"), keras.layers.Reshape(SHAPE)],
        [keras.layers.Dense(64), keras.layers.Softmax(), keras.layers.Reshape(SHAPE)],
        [keras.Sequential([keras.Input((LATENT,)), keras.layers.Dense(64, "sigmoid"), keras.layers.Reshape(SHAPE)])],
        [keras.layers.Dense(64), keras.layers.Reshape(SHAPE), keras.layers.Activation("sigmoid", dtype="float32")],
        [keras.layers.Dense(64, keras.layers.LeakyReLU()), keras.layers.Reshape(SHAPE)],
        [keras.layers.Dense(64), keras.layers.LeakyReLU(), keras.layers.Reshape(SHAPE)],
    ],
    ids=["reshaped", "activation", "softmax", "nested", "last", "layer as activation", "leaky"],
)
def test_a_decoder_that_ends_in_an_activation_needs_from_logits_false(layers):
    encoder = networks.mlp_encoder(SHAPE, latent_dim=LATENT, hidden=(2,))
    decoder = decoder_with(*layers)
    with pytest.raises(
        UsageError, match="^decoder must be linear at its end, or from_logits must be False, received: '"
    ):
        VAE(encoder, decoder)
    assert VAE(encoder, decoder, from_logits=False).from_logits is False


@pytest.mark.parametrize(("activation", "natural"), [("sigmoid", (0, 1)), ("tanh", (-1, 1))])
def test_the_value_range_is_that_of_the_last_activation(activation, natural):
    generator = decoder_with(keras.layers.Dense(64, activation), keras.layers.Reshape(SHAPE))
    discriminator, other = networks.mlp_discriminator(SHAPE, hidden=(2,)), (-1, 1) if natural == (0, 1) else (0, 1)
    assert GAN(generator, discriminator, value_range=natural, from_logits=False).value_range == natural
    requirement = rf"^value_range must be \({natural[0]}, 1\), since the generator ends in {activation}, received: "
    with pytest.raises(UsageError, match=requirement):
        GAN(generator, discriminator, value_range=other, from_logits=False)
    with pytest.raises(
        UsageError, match=rf"from_logits must be False and value_range \({natural[0]}, 1\), received: '"
    ):
        GAN(generator, discriminator, value_range=other)
    if activation == "tanh":  # the objective has no other range
        encoder = networks.mlp_encoder(SHAPE, latent_dim=LATENT, hidden=(2,))
        for from_logits in (True, False):
            with pytest.raises(UsageError, match="^decoder must be linear or a sigmoid at its end, with this"):
                VAE(encoder, generator, from_logits=from_logits)
    scaled = decoder_with(generator, keras.layers.Rescaling(0.5, 0.5))
    assert GAN(scaled, discriminator, value_range=other, from_logits=False).value_range == other


@pytest.mark.parametrize("kind", [Autoencoder, GAN, WGAN])
def test_a_sigmoid_that_the_model_would_repeat_is_refused_in_every_family(kind):
    inputs = keras.Input((LATENT,))
    generator = keras.Model(inputs, keras.ops.sigmoid(keras.layers.Reshape(SHAPE)(keras.layers.Dense(64)(inputs))))
    flat = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(LATENT)])
    other = flat if kind is Autoencoder else networks.mlp_discriminator(SHAPE, hidden=(2,))
    with pytest.raises(
        UsageError, match="^(decoder|generator) must be linear at its end, or from_logits must be False"
    ):
        kind(*((other, generator) if kind is Autoencoder else (generator, other)))
    if kind is not Autoencoder:
        squashed = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")])
        with pytest.raises(UsageError, match="^(discriminator|critic) must be linear at its end, received: 'sigmoid'$"):
            kind(networks.mlp_decoder(SHAPE, latent_dim=LATENT), squashed)


class Richer(VAE):
    def objective(self, images, labels, noise_key, *, training):
        values = super().objective(images, labels, noise_key, training=training)
        return values | {"twice": 2 * values["kl"]}


class Declared(Richer):
    tracked_names = (*VAE.tracked_names, "twice")


class Poorer(VAE):
    def objective(self, images, labels, noise_key, *, training):
        return {"loss": super().objective(images, labels, noise_key, training=training)["loss"]}


def test_a_subclass_names_the_quantities_that_its_objective_returns():
    def model(kind):
        model = kind(*parts("vae"))
        model.compile(SGD(RATE), run_eagerly=True)
        return model

    history = fit(model(Declared), images(4), batch_size=4)
    assert history["twice"][0] == pytest.approx(2 * history["kl"][0], rel=1e-5)
    with pytest.raises(
        UsageError, match="^quantities of the objective must be named in tracked_names of Richer, .*'twice'"
    ):
        fit(model(Richer), images(4))
    with pytest.raises(UsageError, match="^objective must be a function that also returns reconstruction, kl"):
        fit(model(Poorer), images(4))


def test_the_summary_calls_a_generator_a_generator():
    assert [network.name for network in networks_of(zoo.build("gan-mlp", (8, 8, 1)))] == ["generator", "discriminator"]


def test_options_that_are_none_are_those_of_keras():
    model = make_vae()
    train = data.batches(pixels(12), batch_size=4, seed=0)
    history = model.fit(train, steps_per_epoch=None, shuffle=None, verbose=0)
    assert model.updates == {"updates": 3}
    assert len(history.history["loss"]) == 1


def test_fitting_again_with_fewer_steps_than_an_execution_traces_nothing():
    model = make_vae(eager=False)
    model.compile("sgd", steps_per_execution=32)
    train = data.batches(pixels(12), batch_size=4, seed=0)
    model.fit(train, verbose=0)
    compiled = model.train_function
    assert compiled is not None and model.steps_per_execution == 32
    model.fit(train, verbose=0)
    assert model.train_function is compiled
    model.fit(data.batches(pixels(16), batch_size=4, seed=0), verbose=0)  # 4 steps instead of 3
    assert model.train_function is not compiled
    assert model.updates == {"updates": 10}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizer": None}, "optimizer must be a Keras optimizer or its name, received: None"),
        ({"steps_per_execution": 0}, "steps_per_execution must be an integer of at least 1, received: 0"),
        ({"steps_per_execution": None}, "steps_per_execution must be an integer of at least 1, received: None"),
    ],
)
def test_compile_refuses_what_is_no_option(arguments, message):
    with pytest.raises(UsageError, match=message):
        make_vae().compile(**arguments)


@pytest.mark.parametrize("kind", ["gan", "wgan"])
@pytest.mark.parametrize("index", [0, 1])
def test_each_optimizer_of_an_adversarial_model_is_needed(kind, index):
    optimizers = ["sgd", "sgd"]
    optimizers[index] = None
    name = ("generator_optimizer", "discriminator_optimizer")[index]
    with pytest.raises(UsageError, match=f"{name} must be a Keras optimizer or its name, received: None"):
        make(kind).compile(*optimizers)


def test_a_prediction_within_fit_does_not_change_later_ones():
    model = make_vae(eager=False)
    model.compile("sgd", steps_per_execution=2)
    sizes = []

    class Predicts(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            model.predict_on_batch(images(4))
            sizes.append(len(model.predict(images(12), batch_size=4, verbose=0)))
            model.evaluate(images(12), batch_size=4, verbose=0)

    expected = model.predict(images(96), batch_size=32, verbose=0).shape
    for _ in range(2):
        model.fit(data.batches(pixels(12), batch_size=4, seed=0), epochs=2, verbose=0, callbacks=[Predicts()])
        assert model.predict(images(96), batch_size=32, verbose=0).shape == expected
    assert sizes == [12] * 4 and model.updates == {"updates": 12}


def test_targets_in_a_list_are_those_of_the_array_or_refused():
    model = make_autoencoder()
    with pytest.raises(UsageError, match="targets of x must be uint8 images, or floats from 0 to 1, received: 'int64"):
        model.evaluate(pixels(12), pixels(12).tolist(), verbose=0)
    expected = model.evaluate(pixels(12), 255 - pixels(12), verbose=0)
    assert model.evaluate(pixels(12), list(255 - pixels(12)), verbose=0) == pytest.approx(expected)
    with pytest.raises(UsageError, match="targets of x must be "):
        model.evaluate(pixels(12), [[0]] * 11 + [[1, 2]], verbose=0)


def test_flat_targets_of_an_autoencoder_are_refused():
    model = make_autoencoder()
    with pytest.raises(UsageError, match=r"targets of x must be of shape \(12, 8, 8, 1\), like the images"):
        model.evaluate(pixels(12), pixels(12).reshape(12, -1), verbose=0)

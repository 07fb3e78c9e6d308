"""The models: their steps against steps taken by hand, what fit takes and reports, generation, saving."""

import math

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from keras_gen import GAN, VAE, WGAN, UsageError, networks

SHAPE = (8, 8, 1)
LATENT = 3


def pixels(count=12, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), np.uint8)


def images(count=12, seed=0):
    return (pixels(count, seed) / 255).astype("float32")


def make_vae(*, eager=True, optimizer=None, seed=0, **arguments):
    keras.utils.set_random_seed(seed)
    model = VAE(
        networks.mlp_encoder(SHAPE, latent_dim=LATENT, hidden=(6,)),
        networks.mlp_decoder(SHAPE, latent_dim=LATENT, hidden=(6,)),
        **arguments,
    )
    model.compile(optimizer or keras.optimizers.SGD(1e-3), run_eagerly=eager)
    return model


def make_gan(kind=GAN, *, eager=True, optimizers=None, seed=0, **arguments):
    keras.utils.set_random_seed(seed)
    model = kind(
        networks.mlp_decoder(SHAPE, latent_dim=LATENT, hidden=(6,)),
        networks.conv_discriminator(SHAPE, filters=(3,), dropout=0.0),
        **arguments,
    )
    # A gradient penalty of weight 10 makes larger steps of plain gradient descent diverge.
    rate = 0.01 if issubclass(kind, WGAN) else 0.1
    model.compile(*(optimizers or (keras.optimizers.SGD(rate), keras.optimizers.SGD(rate))), run_eagerly=eager)
    return model


def make(kind, **arguments):
    if kind == "vae":
        return make_vae(**arguments)
    if kind == "wgan":
        return make_gan(WGAN, **{"critic_steps": 2} | arguments)
    return make_gan(**arguments)


KINDS = ["vae", "gan", "wgan"]


def fit(model, x, **arguments):
    arguments = {"batch_size": 4, "shuffle": False, "verbose": 0} | arguments
    return model.fit(x, **arguments).history


def weights(model):
    return [variable.numpy() for variable in model.trainable_variables]


def differ(before, after):
    """For every weight array, whether it changed."""
    return [not np.array_equal(old, new) for old, new in zip(before, after, strict=True)]


def assert_close(actual, expected, **tolerances):
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, **tolerances)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, float)))


# The variational autoencoder


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0, 4.0])
def test_vae_loss_is_reconstruction_plus_beta_times_kl(beta):
    model = make_vae(beta=beta)
    history = fit(model, images(), epochs=2, validation_data=images(seed=1))
    for prefix in ("", "val_"):
        loss, reconstruction, kl = (np.array(history[prefix + name]) for name in ("loss", "reconstruction", "kl"))
        np.testing.assert_allclose(loss, reconstruction + beta * kl, rtol=1e-5)
        assert np.all(kl > 0)
        assert np.all(reconstruction > 0)


def test_vae_reports_exactly_its_three_quantities():
    assert set(fit(make_vae(), images())) == {"loss", "reconstruction", "kl"}


def test_with_beta_zero_the_log_variance_is_trained_by_the_reconstruction_alone():
    # Without any noise from the decoder (its weights at 0), nothing is left that moves the encoder.
    model = make_vae(beta=0.0)
    model.decoder.layers[1].kernel.assign(tf.zeros_like(model.decoder.layers[1].kernel))
    before = [v.numpy() for v in model.encoder.trainable_variables]
    fit(model, images(), batch_size=12)
    assert not any(differ(before, [v.numpy() for v in model.encoder.trainable_variables]))


def test_a_gaussian_vae_is_never_below_half_d_log_two_pi():
    model = make_vae(likelihood="gaussian", optimizer=keras.optimizers.Adam(0.05))
    history = fit(model, np.full((8, *SHAPE), 0.9, "float32"), epochs=12, batch_size=8)
    bound = 32 * math.log(2 * math.pi)
    assert min(history["loss"]) >= bound
    assert min(history["reconstruction"]) >= bound
    assert history["loss"][-1] < bound + 1 < bound + 4 < history["loss"][0]


def test_the_mean_of_the_objective_is_the_exact_likelihood_for_a_linear_decoder_with_its_exact_posterior():
    # x = W z + b + σ ε with orthogonal columns in W: the posterior is the diagonal Gaussian that the encoder gives,
    # and −ELBO is −log N(x; b, W Wᵀ + σ² I).
    rng, size, sigma = np.random.default_rng(0), 6, 0.3
    directions, _ = np.linalg.qr(rng.normal(size=(size, 2)))
    matrix, offset = directions * [0.2, 0.4], np.full(size, 0.5)
    variance = 1 / (1 + np.array([0.2, 0.4]) ** 2 / sigma**2)
    to_mean = matrix * variance / sigma**2

    latents = keras.Input((2,))
    output = keras.layers.Reshape((2, 3, 1))(keras.layers.Dense(size, name="linear")(latents))
    decoder = keras.Model(latents, output)
    decoder.get_layer("linear").set_weights([matrix.T, offset])
    inputs = keras.Input((2, 3, 1))
    flat = keras.layers.Flatten()(inputs)
    heads = [keras.layers.Dense(2, name=name)(flat) for name in ("mean", "log_variance")]
    encoder = keras.Model(inputs, heads)
    encoder.get_layer("mean").set_weights([to_mean, -offset @ to_mean])
    encoder.get_layer("log_variance").set_weights([np.zeros((size, 2)), np.log(variance)])

    model = VAE(encoder, decoder, likelihood="gaussian", scale=sigma, from_logits=False)
    model.compile("sgd")
    image = rng.uniform(size=size)
    exact = -scipy.stats.multivariate_normal.logpdf(image, offset, matrix @ matrix.T + sigma**2 * np.eye(size))
    copies = np.broadcast_to(image.reshape(1, 2, 3, 1), (40_000, 2, 3, 1)).astype("float32")
    loss = model.evaluate(copies, batch_size=20_000, verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(exact, abs=0.02)


def vae_step_by_hand(model, batch, key, rate, negative_log_likelihood):
    """The weights after one step of gradient descent, and the three means, from formulas written out here."""
    noise = tf.random.stateless_normal((len(batch), LATENT), key)
    variables = model.encoder.trainable_variables + model.decoder.trainable_variables
    with tf.GradientTape() as tape:
        mean, log_variance = model.encoder(batch)
        deviation = tf.sqrt(tf.exp(log_variance))
        output = model.decoder(mean + deviation * noise)
        reconstruction = tf.reduce_mean(tf.reduce_sum(negative_log_likelihood(batch, output), axis=[1, 2, 3]))
        kl = tf.reduce_mean(tf.reduce_sum((mean**2 + deviation**2 - 1) / 2 - tf.math.log(deviation), axis=1))
        loss = reconstruction + model.beta * kl
    gradients = tape.gradient(loss, variables)
    return [np.array(w - rate * g) for w, g in zip(variables, gradients, strict=True)], [
        float(value) for value in (loss, reconstruction, kl)
    ]


VAE_LIKELIHOODS = {
    "bernoulli": (
        {"likelihood": "bernoulli", "beta": 2.0},
        lambda x, output: -x * tf.math.log(tf.sigmoid(output)) - (1 - x) * tf.math.log(1 - tf.sigmoid(output)),
    ),
    "gaussian": (
        {"likelihood": "gaussian", "scale": 0.5, "beta": 0.5},
        lambda x, output: (x - tf.sigmoid(output)) ** 2 / (2 * 0.25) + math.log(0.5 * math.sqrt(2 * math.pi)),
    ),
    "gaussian of (-1, 1)": (
        {"likelihood": "gaussian", "value_range": (-1, 1)},
        lambda x, output: (2 * x - 1 - tf.tanh(output)) ** 2 / 2 + math.log(2 * math.pi) / 2,
    ),
}


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("likelihood", VAE_LIKELIHOODS)
def test_a_vae_step_is_gradient_descent_on_the_objective(likelihood, eager):
    arguments, by_hand = VAE_LIKELIHOODS[likelihood]
    model = make_vae(eager=eager, optimizer=keras.optimizers.SGD(1e-3), **arguments)
    batch = images(5)
    if arguments.get("value_range") == (-1, 1):
        batch, unscaled = 2 * batch - 1, by_hand

        def by_hand(x, output):
            return unscaled((x + 1) / 2, output)

    expected, values = vae_step_by_hand(model, batch, model.training_key(0), 1e-3, by_hand)
    before = weights(model)
    history = fit(model, batch, batch_size=5)
    assert all(differ(before, weights(model)))
    variables = model.encoder.trainable_variables + model.decoder.trainable_variables
    assert_close(variables, expected, atol=1e-6)
    np.testing.assert_allclose([history[name][0] for name in ("loss", "reconstruction", "kl")], values, rtol=1e-5)


def test_a_vae_of_probabilities_equals_one_of_logits():
    model = make_vae()
    outputs = keras.layers.Activation("sigmoid")(model.decoder.output)
    other = VAE(model.encoder, keras.Model(model.decoder.input, outputs), from_logits=False)
    other.compile("sgd", run_eagerly=True)
    expected, actual = (m.evaluate(images(), verbose=0, return_dict=True) for m in (model, other))
    assert actual == pytest.approx(expected, rel=1e-5)
    latents = np.random.default_rng(0).normal(size=(4, LATENT)).astype("float32")
    np.testing.assert_allclose(model.decode(latents), other.decode(latents), atol=1e-6)


def test_reconstruct_is_the_image_of_the_posterior_mean():
    model = make_vae()
    expected = sigmoid(model.decoder(model.encoder(images())[0]))
    np.testing.assert_allclose(model.reconstruct(images()), expected, atol=1e-6)
    np.testing.assert_allclose(model.reconstruct(pixels()), expected, atol=1e-6)


# The generative adversarial network


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("eager", [True, False])
def test_one_step_changes_every_trainable_weight(kind, eager):
    model = make(kind, eager=eager)
    before = weights(model)
    fit(model, images(10), batch_size=5 if kind == "wgan" else 10)
    changed = dict(zip([v.path for v in model.trainable_variables], differ(before, weights(model)), strict=True))
    if kind == "wgan":
        # The scores' offset cancels in mean critic(x) − mean critic(G(z)).
        offset = model.critic.layers[-1].bias.path
        assert changed.pop(offset) in (True, False)
    assert all(changed.values()), changed


@pytest.mark.parametrize("kind", ["gan", "wgan"])
def test_each_optimizer_trains_its_own_network_only(kind):
    for rates, moved in (((0.0, 0.1), "discriminator"), ((0.1, 0.0), "generator")):
        model = make(kind, optimizers=[keras.optimizers.SGD(rate / 10) for rate in rates])
        before = {name: [v.numpy() for v in getattr(model, name).weights] for name in ("generator", "discriminator")}
        fit(model, images(10), batch_size=5)
        for name, old in before.items():
            assert any(differ(old, [v.numpy() for v in getattr(model, name).weights])) is (name == moved)


@pytest.mark.parametrize("ratio", [1, 2])
def test_gan_quantities_hold_together(ratio):
    model = make_gan(generator_batch_ratio=ratio)
    history = fit(model, images(), epochs=2, validation_data=(images(seed=1), np.arange(12)))
    names = {"d_loss", "d_loss_real", "d_loss_fake", "g_loss", "jsd", "d_real", "d_fake"}
    assert set(history) == names | {f"val_{name}" for name in names}
    for prefix in ("", "val_"):
        values = {name: np.array(history[prefix + name]) for name in names}
        np.testing.assert_allclose(values["d_loss"], (values["d_loss_real"] + values["d_loss_fake"]) / 2, rtol=1e-5)
        np.testing.assert_allclose(values["jsd"], math.log(2) - values["d_loss"], atol=1e-6)
        assert np.all((values["d_real"] > 0) & (values["d_real"] < 1) & (values["d_fake"] > 0) & (values["d_fake"] < 1))


def test_a_discriminator_that_knows_nothing_has_jsd_zero():
    model = make_gan()
    model.discriminator.layers[-1].set_weights([np.zeros((48, 1)), np.zeros(1)])
    values = model.evaluate(images(), verbose=0, return_dict=True)
    log_2 = math.log(2)
    expected = {"d_loss": log_2, "d_loss_real": log_2, "d_loss_fake": log_2, "g_loss": log_2}
    assert values == pytest.approx(expected | {"jsd": 0, "d_real": 0.5, "d_fake": 0.5}, abs=1e-6)


def latents_of(key, count):
    """The latents and the key for the rest that an update draws from its key."""
    first, second = tf.unstack(tf.random.split(key, 2))
    return tf.random.stateless_normal((count, LATENT), first), second


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1)])
def test_a_gan_step_is_descent_of_the_discriminator_then_of_the_generator(value_range, eager):
    model = make_gan(
        eager=eager,
        generator_batch_ratio=2,
        value_range=value_range,
        optimizers=(keras.optimizers.SGD(0.3), keras.optimizers.SGD(0.2)),
    )
    activation = tf.sigmoid if value_range == (0, 1) else tf.tanh
    batch = images(5) if value_range == (0, 1) else 2 * images(5) - 1
    key = model.training_key(0)

    def by_hand():
        discriminator = model.discriminator.trainable_variables
        latents, _ = latents_of(tf.random.fold_in(key, 0), 5)
        with tf.GradientTape() as tape:
            on_real = tf.sigmoid(model.discriminator(batch))
            on_fake = tf.sigmoid(model.discriminator(activation(model.generator(latents))))
            real, fake = tf.reduce_mean(-tf.math.log(on_real)), tf.reduce_mean(-tf.math.log(1 - on_fake))
            loss = (real + fake) / 2
        for variable, gradient in zip(discriminator, tape.gradient(loss, discriminator), strict=True):
            variable.assign_sub(0.2 * gradient)
        latents = generator_latents()
        generator = model.generator.trainable_variables
        with tf.GradientTape() as tape:
            scores = tf.sigmoid(model.discriminator(activation(model.generator(latents))))
            g_loss = tf.reduce_mean(-tf.math.log(scores))
        for variable, gradient in zip(generator, tape.gradient(g_loss, generator), strict=True):
            variable.assign_sub(0.3 * gradient)
        return {
            "d_loss": loss,
            "d_loss_real": real,
            "d_loss_fake": fake,
            "g_loss": g_loss,
            "jsd": math.log(2) - loss,
            "d_real": tf.reduce_mean(on_real),
            "d_fake": tf.reduce_mean(on_fake),
        }

    def generator_latents():
        return tf.random.stateless_normal((10, LATENT), tf.random.fold_in(key, 1))

    start, before = model.get_weights(), weights(model)
    expected_values = {name: float(value) for name, value in by_hand().items()}
    expected = weights(model)
    model.set_weights(start)
    history = fit(model, batch, batch_size=5)
    assert all(differ(before, weights(model)))
    assert_close(weights(model), expected, atol=1e-6)
    assert {name: values[0] for name, values in history.items()} == pytest.approx(expected_values, rel=1e-5, abs=1e-6)


# The Wasserstein GAN


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("penalty", [0.0, 10.0])
def test_a_wgan_step_is_several_steps_of_the_critic_then_one_of_the_generator(penalty, eager):
    model = make_gan(
        WGAN,
        eager=eager,
        critic_steps=3,
        gradient_penalty=penalty,
        optimizers=(keras.optimizers.SGD(0.02), keras.optimizers.SGD(0.01)),
    )
    batch, key = images(12), model.training_key(0)

    def by_hand():
        critic, emds, penalties = model.critic.trainable_variables, [], []
        for index in range(3):
            real = batch[index::3]
            latents, mixing_key = latents_of(tf.random.fold_in(key, index), 4)
            fake = tf.sigmoid(model.generator(latents))
            mixing = tf.random.stateless_uniform((4, 1, 1, 1), mixing_key)
            between = tf.Variable((1 - mixing) * real + mixing * fake)
            with tf.GradientTape() as tape:
                emd = tf.reduce_mean(model.critic(real)) - tf.reduce_mean(model.critic(fake))
                with tf.GradientTape() as inner:
                    scores = model.critic(between)
                slopes = tf.norm(tf.reshape(inner.gradient(scores, between), (4, -1)), axis=1)
                gradient_penalty = tf.reduce_mean((slopes - 1) ** 2)
                loss = -emd + penalty * gradient_penalty
            gradients = tape.gradient(loss, critic, unconnected_gradients="zero")
            for variable, gradient in zip(critic, gradients, strict=True):
                variable.assign_sub(0.01 * gradient)
            emds.append(float(emd))
            penalties.append(float(gradient_penalty))
        latents = tf.random.stateless_normal((4, LATENT), tf.random.fold_in(key, 3))
        generator = model.generator.trainable_variables
        with tf.GradientTape() as tape:
            g_loss = -tf.reduce_mean(model.critic(tf.sigmoid(model.generator(latents))))
        for variable, gradient in zip(generator, tape.gradient(g_loss, generator), strict=True):
            variable.assign_sub(0.02 * gradient)
        values = {"emd": np.mean(emds), "critic_loss": np.mean(np.multiply(penalty, penalties) - emds)}
        return values | {"g_loss": float(g_loss)} | ({"gradient_penalty": np.mean(penalties)} if penalty else {})

    start = model.get_weights()
    expected_values = by_hand()
    expected = weights(model)
    model.set_weights(start)
    history = fit(model, batch, batch_size=4)
    assert_close(weights(model), expected, atol=1e-6)
    assert {name: values[0] for name, values in history.items()} == pytest.approx(expected_values, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("penalty", [0.0, 10.0])
def test_wgan_quantities_hold_together(penalty):
    history = fit(make_gan(WGAN, gradient_penalty=penalty), images(20), epochs=2, validation_data=images(6, seed=1))
    names = {"critic_loss", "emd", "g_loss"} | ({"gradient_penalty"} if penalty else set())
    assert set(history) == names | {f"val_{name}" for name in names}
    for prefix in ("", "val_"):
        values = {name: np.array(history[prefix + name]) for name in names}
        expected = -values["emd"] + penalty * values.get("gradient_penalty", 0)
        np.testing.assert_allclose(values["critic_loss"], expected, rtol=1e-5, atol=1e-6)


class RecordingWGAN(WGAN):
    """Keeps the real images of every critic update."""

    def discriminator_values(self, real, fake, noise_key, *, training):
        if training:
            self.seen.append(np.array(real))
        assert real.shape == fake.shape
        return super().discriminator_values(real, fake, noise_key, training=training)


def recording_wgan(critic_steps, monkeypatch):
    monkeypatch.setattr(RecordingWGAN, "seen", [], raising=False)
    return make_gan(RecordingWGAN, critic_steps=critic_steps)


@pytest.mark.parametrize("critic_steps", [1, 3, 5])
@pytest.mark.parametrize("form", ["array", "dataset"])
def test_every_critic_update_sees_a_batch_of_images_of_its_own(critic_steps, form, monkeypatch):
    model, x = recording_wgan(critic_steps, monkeypatch), images(4 * 2 * critic_steps)
    if form == "array":
        fit(model, x, batch_size=4)
    else:
        model.fit(tf.data.Dataset.from_tensor_slices((x, np.arange(len(x)))).batch(4), verbose=0)
    assert model.updates == {"critic_updates": 2 * critic_steps, "g_updates": 2}
    assert int(model.optimizer.iterations) == 2
    assert int(model.discriminator_optimizer.iterations) == 2 * critic_steps
    assert [len(batch) for batch in model.seen] == [4] * (2 * critic_steps)
    # An epoch is one pass: together they are the images, each once.
    together = np.concatenate(model.seen).reshape(len(x), -1)
    np.testing.assert_array_equal(np.unique(together, axis=0), np.unique(x.reshape(len(x), -1), axis=0))
    assert len(np.unique(together, axis=0)) == len(x)


@pytest.mark.parametrize("count", [1, 3, 4, 17, 22])
def test_wgan_takes_an_uneven_last_batch_and_fewer_images_than_critic_steps(count, monkeypatch):
    model = recording_wgan(5, monkeypatch)
    history = fit(model, images(count), batch_size=4, epochs=2)
    steps = 2 * math.ceil(count / 20)
    assert model.updates == {"critic_updates": 5 * steps, "g_updates": steps}
    assert all(len(batch) >= 1 for batch in model.seen)
    assert np.all(np.isfinite([values for values in history.values()]))
    assert all(np.all(np.isfinite(array)) for array in weights(model))
    together = np.concatenate(model.seen).reshape(-1, 64)
    assert len(np.unique(together, axis=0)) == count


@pytest.mark.filterwarnings("error:Your input ran out of data")
@pytest.mark.parametrize("count", [16, 15, 19])
def test_an_epoch_of_a_dataset_of_known_length_ends_without_a_warning(count):
    model = make_gan(WGAN, critic_steps=2)
    model.fit(tf.data.Dataset.from_tensor_slices(images(count)).batch(4), epochs=2, verbose=0)
    assert model.updates == {"critic_updates": 4 * math.ceil(count / 8), "g_updates": 2 * math.ceil(count / 8)}


def test_wgan_takes_an_uneven_last_batch_in_the_graph():
    model = make_gan(WGAN, eager=False, critic_steps=3)
    history = fit(model, images(16), batch_size=4, validation_data=images(3, seed=1))
    assert model.updates == {"critic_updates": 6, "g_updates": 2}
    assert np.all(np.isfinite([values for values in history.values()]))


def test_weight_clipping_bounds_the_critic_and_leaves_the_generator_alone():
    clip = 0.02
    model = make_gan(WGAN, gradient_penalty=0.0, weight_clip=clip)
    generator = np.concatenate([array.ravel() for array in model.generator.get_weights()])
    assert np.abs(generator).max() > 2 * clip
    fit(model, images(20), epochs=2)
    critic = np.concatenate([array.ravel() for array in model.critic.get_weights()])
    assert np.abs(critic).max() == pytest.approx(clip, rel=1e-6)
    assert np.mean(np.abs(critic) < clip) > 0.1
    assert np.abs(np.concatenate([array.ravel() for array in model.generator.get_weights()])).max() > 2 * clip


def test_without_clipping_the_critic_is_not_bounded():
    model = make_gan(WGAN, gradient_penalty=0.0, weight_clip=0.0)
    fit(model, images(20))
    assert max(np.abs(array).max() for array in model.critic.get_weights()) > 0.1


# Noise


@pytest.mark.parametrize("kind", KINDS)
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


@pytest.mark.parametrize("kind", KINDS)
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
    """A model whose weights do not move, so that what it reports differs by the noise only."""
    frozen = [keras.optimizers.SGD(0.0) for _ in range(2)]
    arguments = {"optimizer": frozen[0]} if kind == "vae" else {"optimizers": frozen}
    model = make(kind, **arguments)
    model.seed = seed
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_training_noise_is_new_in_every_step_and_a_function_of_seed_and_step(kind):
    name = "reconstruction" if kind == "vae" else "g_loss"
    batch = np.repeat(images(1), 4, axis=0)
    size = {"batch_size": 2 if kind == "wgan" else 4, "epochs": 3}
    first = fit(still(kind, 5), batch, **size)[name]
    assert len(set(first)) == 3
    assert fit(still(kind, 5), batch, **size)[name] == first
    assert not set(fit(still(kind, 6), batch, **size | {"epochs": 1})[name]) & set(first)
    later = still(kind, 5)
    later.optimizer.iterations.assign(2)
    assert fit(later, batch, **size | {"epochs": 1})[name] == first[2:]


def test_training_and_evaluation_noise_differ():
    model, batch = still("vae", 0), images(4)
    trained = fit(model, batch)["reconstruction"][0]
    assert model.evaluate(batch, batch_size=4, verbose=0, return_dict=True)["reconstruction"] != trained


@pytest.mark.parametrize("kind", KINDS)
def test_two_trainings_from_one_seed_are_bit_identical(kind):
    results = []
    for _ in range(2):
        model = make(kind, eager=kind == "wgan")
        history = fit(model, images(), epochs=2, shuffle=True)
        results.append((history, weights(model)))
    assert results[0][0] == results[1][0]
    assert not any(differ(results[0][1], results[1][1]))


# What fit takes


@pytest.mark.parametrize("kind", KINDS)
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
        others += [
            trained(scaled.astype("float64")),
            trained(x[..., 0]),
            trained(tf.constant(x)),
            trained(x, labels),
            trained(scaled, labels),
        ]
    for actual, other_history in others:
        assert_close(actual, expected, atol=1e-6)
        for name, values in history.items():
            np.testing.assert_allclose(other_history[name], values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
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
    if kind == "vae":  # what comes before the steps is common to all models
        forms += [(x, labels), scaled, x[..., 0], tf.data.Dataset.from_tensor_slices(scaled).batch(4)]
    for form in forms:
        assert validated(form) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    evaluated = model.evaluate(x, batch_size=4, verbose=0, return_dict=True)
    assert {f"val_{name}": value for name, value in evaluated.items()} == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_validation_split_holds_images_out():
    history = fit(make_vae(), images(12), validation_split=0.5)
    assert {"loss", "val_loss"} <= set(history)
    model = make_vae()
    alone = fit(model, images(12)[:6])
    assert history["loss"] == pytest.approx(alone["loss"], rel=1e-5)
    expected = model.evaluate(images(12)[6:], batch_size=4, verbose=0, return_dict=True)
    assert history["val_loss"][0] == pytest.approx(expected["loss"], rel=1e-5)


def test_several_steps_an_execution_train_as_one():
    results = []
    for steps in (1, 2):
        model = make_vae()
        model.compile(keras.optimizers.SGD(1e-3), steps_per_execution=steps)
        fit(model, images(16), epochs=2)
        results.append(weights(model))
    assert_close(*results, atol=1e-6)


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


# Generation


@pytest.fixture(scope="module")
def generators():
    # Larger weights, so that images are not all grey.
    models = {"vae": make_vae(), "gan": make_gan(), "tanh": make_gan(value_range=(-1, 1))}
    models["linear"] = make_gan(from_logits=False)
    for model in models.values():
        for variable in model.decoder_network.trainable_variables:
            variable.assign(3.0 * variable)
    return models


@pytest.mark.parametrize("name", ["vae", "gan", "tanh", "linear"])
@pytest.mark.parametrize("n", [1, 7, 600])
def test_generated_images_have_their_shape_type_and_rounding(generators, name, n):
    result = generators[name].generate(n, seed=3)
    assert set(result) == {"images", "images_float"}
    assert (result["images"].dtype, result["images_float"].dtype) == (tf.uint8, tf.float32)
    floats = result["images_float"].numpy()
    assert result["images"].shape == floats.shape == (n, *SHAPE)
    assert floats.min() >= 0
    assert floats.max() <= 1
    assert floats.std() > 0.01
    np.testing.assert_array_equal(result["images"], np.rint(floats * np.float32(255)).astype("uint8"))
    assert len(np.unique(floats.reshape(n, -1), axis=0)) > 0.98 * n


@pytest.mark.parametrize("name", ["vae", "gan", "tanh", "linear"])
def test_generation_decodes_standard_normal_latents_in_order(generators, name):
    model = generators[name]
    latents = tf.random.stateless_normal((600, LATENT), [11, 0])
    expected = {
        "linear": lambda x: np.clip(x, 0, 1),
        "tanh": lambda x: (np.tanh(x) + 1) / 2,
    }.get(name, sigmoid)(np.array(model.decoder_network(latents)))
    np.testing.assert_allclose(model.generate(600, seed=11)["images_float"], expected, atol=1e-5)


def test_the_same_seed_gives_the_same_images_and_another_seed_others(generators):
    model = generators["gan"]
    first = model.generate(5, seed=1)["images"].numpy()
    np.testing.assert_array_equal(model.generate(5, seed=1)["images"], first)
    assert np.any(model.generate(5, seed=2)["images"] != first)
    np.testing.assert_array_equal(model.generate(5)["images"], model.generate(5, seed=0)["images"])
    model.generate(1, seed=2**31 - 1)


def test_generation_follows_the_training():
    model = make_gan()
    before = model.generate(2)["images_float"].numpy()
    fit(model, images())
    assert np.any(model.generate(2)["images_float"] != before)


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "3", None], ids=repr)
def test_a_bad_number_of_images_is_refused(generators, n):
    with pytest.raises(UsageError, match="^n must be an integer of at least 1, received: "):
        generators["vae"].generate(n)


@pytest.mark.parametrize("seed", [-1, 2**31, 1.5, True, "3", None], ids=repr)
def test_a_bad_seed_is_refused(generators, seed):
    with pytest.raises(UsageError, match="^seed must be an integer from 0 to 2147483647, received: "):
        generators["vae"].generate(1, seed=seed)
    with pytest.raises(UsageError, match="^seed must be"):
        GAN(generators["gan"].generator, generators["gan"].discriminator, seed=seed)


# Compiling


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", ["loss", "metrics", "weighted_metrics", "loss_weights"])
def test_compile_refuses_losses_and_metrics(kind, option):
    model = make(kind)
    with pytest.raises(UsageError, match=f"^compile takes no {option}: {type(model).__name__} has its own objective"):
        model.compile(**{option: ["mse"]})


@pytest.mark.parametrize("kind", ["gan", "wgan"])
def test_an_optimizer_shared_between_the_networks_is_refused(kind):
    model, optimizer = make(kind), keras.optimizers.Adam()
    with pytest.raises(UsageError, match="^discriminator_optimizer must be another object"):
        model.compile(optimizer, optimizer)


def test_two_names_make_two_optimizers():
    model = make_gan()
    model.compile("adam", "adam")
    assert model.optimizers[0] is not model.optimizers[1]
    assert [type(optimizer) for optimizer in model.optimizers] == [keras.optimizers.Adam] * 2
    assert model.generator_optimizer is model.optimizer is model.optimizers[0]


# Constructors


def encoder(shape=SHAPE, latent_dim=LATENT):
    return networks.mlp_encoder(shape, latent_dim=latent_dim, hidden=(2,))


def decoder(shape=SHAPE, latent_dim=LATENT):
    return networks.mlp_decoder(shape, latent_dim=latent_dim, hidden=(2,))


def critic(shape=SHAPE):
    return networks.conv_discriminator(shape, filters=(2,))


def two_inputs():
    first, second = keras.Input((LATENT,)), keras.Input((LATENT,))
    x = keras.layers.Dense(64)(keras.layers.Concatenate()([first, second]))
    return keras.Model([first, second], keras.layers.Reshape(SHAPE)(x))


def of_latents():
    latents = keras.Input((LATENT,))
    return keras.Model(latents, [latents + 0.0, latents + 1.0])


MISFITS = {
    "encoder is a number": (lambda: VAE(3, decoder()), "encoder"),
    "encoder is a class": (lambda: VAE(keras.Model, decoder()), "encoder"),
    "encoder is not built": (lambda: VAE(keras.Sequential([keras.layers.Dense(2)]), decoder()), "encoder"),
    "encoder with one output": (lambda: VAE(critic(), decoder()), "encoder"),
    "encoder of latents": (lambda: VAE(of_latents(), decoder()), "encoder"),
    "decoder is a layer": (lambda: VAE(encoder(), keras.layers.Dense(3)), "decoder"),
    "decoder of other latents": (lambda: VAE(encoder(), decoder(latent_dim=5)), "decoder"),
    "decoder of other images": (lambda: VAE(encoder(), decoder(shape=(8, 4, 1))), "decoder"),
    "decoder and encoder swapped": (lambda: VAE(decoder(), encoder()), "encoder"),
    "generator is None": (lambda: GAN(None, critic()), "generator"),
    "generator of images": (lambda: GAN(critic(), critic()), "generator"),
    "generator with two inputs": (lambda: GAN(two_inputs(), critic()), "generator"),
    "discriminator of other images": (lambda: GAN(decoder(), critic((8, 4, 1))), "discriminator"),
    "discriminator with images": (lambda: GAN(decoder(), decoder()), "discriminator"),
    "discriminator with two outputs": (lambda: GAN(decoder(), encoder()), "discriminator"),
    "discriminator is a string": (lambda: GAN(decoder(), "conv"), "discriminator"),
    "critic of other images": (lambda: WGAN(decoder(), critic((4, 8, 1))), "critic"),
    "critic is None": (lambda: WGAN(decoder(), None), "critic"),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_networks_that_do_not_fit_together_are_refused_by_name(misfit):
    build, argument = MISFITS[misfit]
    with pytest.raises(UsageError, match=f"^{argument} must be "):
        build()


@pytest.mark.parametrize(
    "arguments, argument",
    [
        ({"beta": -1}, "beta"),
        ({"beta": float("nan")}, "beta"),
        ({"scale": 0}, "scale"),
        ({"scale": float("inf")}, "scale"),
        ({"likelihood": "laplace"}, "likelihood"),
        ({"likelihood": None}, "likelihood"),
        ({"value_range": (0, 255)}, "value_range"),
        ({"value_range": (-1, 1)}, "value_range"),  # with the Bernoulli likelihood
        ({"from_logits": "yes"}, "from_logits"),
        ({"from_logits": 1}, "from_logits"),
        ({"seed": -1}, "seed"),
    ],
    ids=repr,
)
def test_bad_arguments_of_a_vae_are_refused_by_name(arguments, argument):
    with pytest.raises(UsageError, match=f"^{argument} must be "):
        VAE(encoder(), decoder(), **arguments)


@pytest.mark.parametrize(
    "kind, arguments",
    [
        (GAN, {"generator_batch_ratio": 0}),
        (GAN, {"generator_batch_ratio": 1.5}),
        (GAN, {"value_range": (1, 0)}),
        (GAN, {"from_logits": None}),
        (WGAN, {"critic_steps": 0}),
        (WGAN, {"critic_steps": 2.0}),
        (WGAN, {"gradient_penalty": -1}),
        (WGAN, {"weight_clip": -0.01}),
        (WGAN, {"weight_clip": float("nan")}),
    ],
    ids=lambda value: repr(value) if isinstance(value, dict) else value.__name__,
)
def test_bad_arguments_of_a_gan_are_refused_by_name(kind, arguments):
    with pytest.raises(UsageError, match=f"^{next(iter(arguments))} must be "):
        kind(decoder(), critic(), **arguments)


def test_a_bernoulli_vae_of_pixels_from_minus_one_says_why_not():
    with pytest.raises(UsageError, match=r"^value_range must be \(0, 1\) with likelihood bernoulli"):
        make_vae(value_range=(-1, 1))


# Saving

ROUND_TRIPS = {
    "vae": lambda: make_vae(optimizer=keras.optimizers.Adam(3e-3, beta_1=0.7), beta=0.4, name="mine"),
    "gaussian vae": lambda: make_vae(
        optimizer=keras.optimizers.RMSprop(2e-3),
        likelihood="gaussian",
        scale=0.3,
        value_range=(-1, 1),
        from_logits=False,
        beta=2.0,
    ),
    "gan": lambda: make_gan(
        optimizers=(keras.optimizers.Adam(1e-3, beta_1=0.5), keras.optimizers.RMSprop(2e-3, momentum=0.3)),
        generator_batch_ratio=2,
        value_range=(-1, 1),
    ),
    "wgan": lambda: make_gan(
        WGAN,
        optimizers=(keras.optimizers.Adam(1e-3, 0.0, 0.9), keras.optimizers.Adam(3e-3, 0.1, 0.8)),
        critic_steps=2,
        gradient_penalty=3.0,
        weight_clip=0.4,
        from_logits=False,
    ),
    "wgan with a schedule": lambda: make_gan(
        WGAN,
        optimizers=(
            keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(1e-3, 2, 0.5)),
            keras.optimizers.SGD(1e-3, momentum=0.5),
        ),
        gradient_penalty=0.0,
    ),
}
SETTINGS = [
    "name", "value_range", "from_logits", "seed", "likelihood", "beta", "scale", "generator_batch_ratio",
    "critic_steps", "gradient_penalty", "weight_clip", "batches_per_step", "latent_dim", "image_shape",
    "run_eagerly", "steps_per_execution", "jit_compile",
]  # fmt: skip


@pytest.mark.parametrize("name", ROUND_TRIPS)
def test_a_keras_file_brings_back_everything_and_training_goes_on_the_same(name, tmp_path):
    model = ROUND_TRIPS[name]()
    model.seed = 9
    x = pixels(12)
    fit(model, x)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)

    assert type(loaded) is type(model)
    missing = object()
    for setting in SETTINGS:
        assert getattr(loaded, setting, missing) == getattr(model, setting, missing), setting
    assert not any(differ(model.get_weights(), loaded.get_weights()))
    assert len(loaded.optimizers) == len(model.optimizers)
    for old, new in zip(model.optimizers, loaded.optimizers, strict=True):
        assert type(new) is type(old)
        assert new.get_config() == old.get_config()
        assert int(new.iterations) > 0
        assert [v.path for v in new.variables] == [v.path for v in old.variables]
        assert not any(differ([v.numpy() for v in old.variables], [v.numpy() for v in new.variables]))
    assert loaded.updates == model.updates
    assert loaded.evaluate(x, verbose=0, return_dict=True) == model.evaluate(x, verbose=0, return_dict=True)
    np.testing.assert_array_equal(loaded.generate(3)["images"], model.generate(3)["images"])

    assert fit(model, x) == fit(loaded, x)
    assert not any(differ(model.get_weights(), loaded.get_weights()))


def test_get_config_holds_the_arguments_of_the_constructor():
    config = make_gan(WGAN, critic_steps=2).get_config()
    assert set(config) == {
        "name", "value_range", "from_logits", "seed", "generator", "critic", "generator_batch_ratio", "critic_steps",
        "gradient_penalty", "weight_clip",
    }  # fmt: skip
    copy = WGAN.from_config(config)
    assert copy.critic_steps == 2
    assert copy.image_shape == SHAPE


def test_a_model_that_was_never_compiled_can_be_saved(tmp_path):
    model = GAN(decoder(), critic())
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert not any(differ(model.get_weights(), loaded.get_weights()))


def test_a_vae_called_on_images_reconstructs_and_a_gan_called_on_latents_generates():
    vae, gan = make_vae(), make_gan()
    np.testing.assert_array_equal(vae(images(3)), vae.reconstruct(images(3)))
    latents = np.random.default_rng(0).normal(size=(3, LATENT)).astype("float32")
    np.testing.assert_array_equal(gan(latents), gan.decode(latents))
    np.testing.assert_allclose(vae.predict(images(3), verbose=0), vae.reconstruct(images(3)), atol=1e-6)


@pytest.mark.parametrize("argument", ["sample_weight", "class_weight"])
def test_weights_of_images_are_refused_since_every_image_counts_alike(argument):
    model = VAE(networks.mlp_encoder(SHAPE, latent_dim=2), networks.mlp_decoder(SHAPE, latent_dim=2))
    model.compile("sgd")
    with pytest.raises(UsageError, match=f"^fit takes no {argument}"):
        model.fit(np.zeros((4, *SHAPE), np.uint8), verbose=0, **{argument: np.ones(4)})


def test_validation_split_takes_the_last_images():
    model = VAE(networks.mlp_encoder(SHAPE, latent_dim=2), networks.mlp_decoder(SHAPE, latent_dim=2))
    model.compile("sgd")
    images = np.random.default_rng(0).integers(0, 256, (10, *SHAPE), dtype=np.uint8)
    history = model.fit(images, np.arange(10), validation_split=0.2, epochs=1, verbose=0).history
    expected = model.evaluate(images[8:], verbose=0, return_dict=True)["loss"]
    assert history["val_loss"][0] == pytest.approx(expected, rel=1e-6)
    with pytest.raises(UsageError, match="^validation_split must be"):
        model.fit(images[:1], validation_split=0.5, verbose=0)
    with pytest.raises(UsageError, match="^validation_split must be 0 for a dataset"):
        model.fit(tf.data.Dataset.from_tensor_slices(images).batch(2), validation_split=0.5, verbose=0)


def test_a_critic_that_can_not_work_is_refused():
    def critic(*layers):
        return keras.Sequential([keras.Input(SHAPE), *layers])

    generator = networks.mlp_decoder(SHAPE, latent_dim=2)
    flatten, dense = keras.layers.Flatten, keras.layers.Dense
    normalised = critic(keras.layers.BatchNormalization(), flatten(), dense(1))
    with pytest.raises(UsageError, match="^critic must be without batch normalisation"):
        WGAN(generator, normalised)
    assert WGAN(generator, normalised, gradient_penalty=0.0, weight_clip=0.01).critic is normalised
    with pytest.raises(UsageError, match="^critic must be linear at its end, received: 'sigmoid'"):
        WGAN(generator, critic(flatten(), dense(1, activation="sigmoid")))


def test_a_gan_says_that_it_takes_two_optimizers():
    gan = GAN(networks.mlp_decoder(SHAPE, latent_dim=2), networks.conv_discriminator(SHAPE))
    with pytest.raises(UsageError, match="generator_optimizer and a discriminator_optimizer"):
        gan.compile(optimizer="adam")

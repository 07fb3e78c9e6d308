"""Refused arguments of constructors and `compile`."""

import keras
import pytest
from model_helpers import CLASSES, KINDS, LATENT, SHAPE, critic, decoder, encoder, make, make_gan, make_vae

from keras_gen import GAN, VAE, WGAN, UsageError, networks

# Compiling


@pytest.mark.parametrize("kind", KINDS)
def test_compile_refuses_losses_and_metrics(kind):
    model = make(kind)
    for option in ("loss", "metrics", "weighted_metrics", "loss_weights"):
        message = f"^compile takes no {option}: {type(model).__name__} has its own objective"
        with pytest.raises(UsageError, match=message):
            model.compile(**{option: ["mse"]})
    with pytest.raises(UsageError, match="^compile takes no loss: "):
        model.compile(*["adam"] * len(model.optimizers), "mse")


@pytest.mark.parametrize("kind", ["gan", "wgan"])
def test_an_optimizer_shared_between_the_networks_is_refused(kind):
    model, optimizer = make(kind), keras.optimizers.Adam()
    with pytest.raises(UsageError, match="^discriminator_optimizer must be a different object"):
        model.compile(optimizer, optimizer)


def test_two_names_make_two_optimizers():
    model = make_gan()
    model.compile("adam", "adam")
    assert model.optimizers[0] is not model.optimizers[1]
    assert [type(optimizer) for optimizer in model.optimizers] == [keras.optimizers.Adam] * 2
    assert model.generator_optimizer is model.optimizer is model.optimizers[0]


# Constructors


def with_inputs(*shapes):
    """Make a generator with additional inputs."""
    inputs = [keras.Input((LATENT,)), *(keras.Input(shape) for shape in shapes)]
    flat = [keras.layers.Flatten()(tensor) for tensor in inputs]
    x = keras.layers.Dense(64)(keras.layers.Concatenate()(flat))
    return keras.Model(inputs, keras.layers.Reshape(SHAPE)(x))


def of_any_labels():
    latents, labels = keras.Input((LATENT,)), keras.Input((None,))
    total = keras.layers.Lambda(lambda x: keras.ops.sum(x, axis=1, keepdims=True), output_shape=(1,))(labels)
    x = keras.layers.Dense(64)(keras.layers.Concatenate()([latents, total]))
    return keras.Model([latents, labels], keras.layers.Reshape(SHAPE)(x))


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
    "generator with three inputs": (lambda: GAN(with_inputs((CLASSES,), (2,)), critic()), "generator"),
    "generator with images as labels": (lambda: GAN(with_inputs(SHAPE), critic()), "generator"),
    "generator with labels of unknown width": (lambda: GAN(of_any_labels(), critic()), "generator"),
    "generator with labels alone": (lambda: GAN(with_inputs((CLASSES,)), critic()), "discriminator"),
    "discriminator with labels alone": (lambda: GAN(decoder(), critic(num_classes=CLASSES)), "discriminator"),
    "discriminator of more classes": (
        lambda: GAN(decoder(num_classes=CLASSES), critic(num_classes=CLASSES + 1)),
        "discriminator",
    ),
    "critic of fewer classes": (lambda: WGAN(decoder(num_classes=3), critic(num_classes=2)), "critic"),
    "encoder with labels alone": (lambda: VAE(encoder(num_classes=CLASSES), decoder()), "decoder"),
    "decoder of other classes": (lambda: VAE(encoder(num_classes=3), decoder(num_classes=2)), "decoder"),
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


VAE_NETWORKS, GAN_NETWORKS = (encoder(), decoder()), (decoder(), critic())


@pytest.mark.parametrize(
    "arguments, argument",
    [
        ({"beta": -1}, "beta"),
        ({"beta": float("nan")}, "beta"),
        ({"scale": 0}, "scale"),
        ({"scale": float("inf")}, "scale"),
        ({"likelihood": "laplace"}, "likelihood"),
        ({"likelihood": None}, "likelihood"),
        ({"free_bits": -0.1}, "free_bits"),
        ({"free_bits": float("nan")}, "free_bits"),
        ({"likelihood": "gaussian", "learn_scale": 1}, "learn_scale"),
        ({"likelihood": "gaussian", "learn_scale": "yes"}, "learn_scale"),
        ({"likelihood": "gaussian", "learn_scale": True, "scale": 0}, "scale"),
        ({"value_range": (0, 255)}, "value_range"),
        ({"from_logits": "yes"}, "from_logits"),
        ({"from_logits": 1}, "from_logits"),
        ({"seed": -1}, "seed"),
    ],
    ids=repr,
)
def test_bad_arguments_of_a_vae_are_refused_by_name(arguments, argument):
    with pytest.raises(UsageError, match=f"^{argument} must be "):
        VAE(*VAE_NETWORKS, **arguments)


@pytest.mark.parametrize(
    "kind, arguments",
    [
        (GAN, {"generator_batch_ratio": 0}),
        (GAN, {"generator_batch_ratio": 1.5}),
        (GAN, {"augment": "colour"}),
        (GAN, {"regularizers": 10.0}),
        (WGAN, {"regularizers": ["r1"]}),
        (GAN, {"objective": None}),
        (GAN, {"moving_average": 1.0}),
        (GAN, {"moving_average": -0.1}),
        (WGAN, {"moving_average": "0.9"}),
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
        kind(*GAN_NETWORKS, **arguments)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"value_range": (-1, 1)}, r"value_range must be \(0, 1\) with likelihood bernoulli"),
        ({"learn_scale": True}, "learn_scale must be False with likelihood bernoulli, which has no scale"),
    ],
    ids=repr,
)
def test_a_bernoulli_vae_says_why_it_does_not_take_an_argument(arguments, message):
    with pytest.raises(UsageError, match=f"^{message}"):
        make_vae(**arguments)


def test_a_gan_says_that_it_takes_two_optimizers():
    gan = GAN(networks.mlp_decoder(SHAPE, latent_dim=2), networks.conv_discriminator(SHAPE))
    with pytest.raises(
        UsageError, match="^compile takes generator_optimizer and discriminator_optimizer instead of optimizer"
    ):
        gan.compile(optimizer="adam")

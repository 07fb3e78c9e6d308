"""Variational autoencoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_gen.zoo.registry import recipe

if TYPE_CHECKING:
    from keras_gen.models import VAE


@recipe(
    "vae-lstm",
    aliases=("vae",),
    report="R1 §2",
    dataset="mnist",
    epochs=100,
    batch_size=256,
    weights=39_673_598,
    fid_every=10,
)
def vae_lstm(
    image_shape,
    *,
    latent_dim: int = 64,
    units: int = 64,
    dropout: float = 0.2,
    beta: float = 1.0,
    learning_rate: float = 1e-3,
) -> VAE:
    """VAE: LSTM over the image's rows, transposed-convolution decoder, Bernoulli likelihood.

    From the report: 64 LSTM units, latent size 64, the decoder layer by layer, binary cross-entropy summed over the
    pixels plus the KL term, 100 epochs, batch 256, FID every 10 epochs. It clips probabilities at 1e-7 where this
    works on logits; its log σ is a log-variance here, the same family.

    Ours: Adam with learning rate 1e-3, ReLU, dropout rate 0.2, beta (1 is the report's objective).
    """
    import keras_gen.backend  # noqa: F401
    import keras

    from keras_gen import checks, networks
    from keras_gen.models import VAE

    encoder = networks.lstm_encoder(image_shape, latent_dim=latent_dim, units=units)
    decoder = networks.lstm_vae_decoder(image_shape, latent_dim=latent_dim, dropout=dropout)
    model = VAE(encoder, decoder, likelihood="bernoulli", beta=beta)
    model.compile(keras.optimizers.Adam(checks.positive("learning_rate", learning_rate)))
    return model


@recipe("vae-mlp", report="R2", dataset="mnist", epochs=50, batch_size=64, weights=486_216)
def vae_mlp(
    image_shape,
    *,
    latent_dim: int = 16,
    hidden: int = 300,
    scale: float = 1.0,
    beta: float = 1.0,
    learning_rate: float = 5e-3,
) -> VAE:
    """VAE: one hidden layer either side, Gaussian likelihood with standard deviation 1.

    From the report: 784-300-32 and 16-300-784 with ReLU and a sigmoid at the end, N(x; f(z), 1), 50 epochs, batch 64,
    Adam with learning rate 5e-3, 55,000 training and 5,000 validation images. The loss is −ELBO in nats and, with
    scale 1 and beta 1, can't be below 720.4 for 784 pixels; the report's was negative.

    Ours: pixels in [0, 1] (the report "standardised" them, it does not say how); the second half of the 32 is a
    log-variance. A scale of 1 is wide for pixels in [0, 1], so the posterior keeps few latent dimensions; a smaller
    one keeps more.
    """
    import keras_gen.backend  # noqa: F401
    import keras

    from keras_gen import checks, networks
    from keras_gen.models import VAE

    hidden = (checks.positive_int("hidden", hidden),)
    encoder = networks.mlp_encoder(image_shape, latent_dim=latent_dim, hidden=hidden)
    decoder = networks.mlp_decoder(image_shape, latent_dim=latent_dim, hidden=hidden)
    model = VAE(encoder, decoder, likelihood="gaussian", scale=scale, beta=beta)
    model.compile(keras.optimizers.Adam(checks.positive("learning_rate", learning_rate)))
    return model

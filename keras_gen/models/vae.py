"""The variational autoencoder (Kingma & Welling 2013, "Auto-encoding variational Bayes")."""

from __future__ import annotations

import functools
import math

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import numpy as np
import tensorflow as tf

from keras_gen import distribution, losses
from keras_gen.distribution import sharding
from keras_gen.models import importance
from keras_gen.models.encoder_decoder import EncoderDecoder
from keras_gen.models.generative import GenerativeModel
from keras_gen.models.settings import Setting
from keras_gen.utils import checks
from keras_gen.utils.errors import must_be

PIXELS = 3
"""Second element of the random key of pixels, different from those of training, evaluation and importance sampling."""

MIN_DIVERGENCE = 0.1
"""Minimum KL divergence of a healthy VAE's latents from their prior, in nats per image."""


@keras.saving.register_keras_serializable("keras_gen")
class VAE(EncoderDecoder, GenerativeModel):
    """Variational autoencoder with a diagonal Gaussian posterior and a standard normal prior.

    The objective is `loss = reconstruction + beta · kl`, each summed over the pixels or latent dimensions and averaged
    over the batch:

    - reconstruction = −log p(x | z), z = μ + σ ε, one sample per image;
    - kl = KL(N(μ, σ²) ‖ N(0, I)).

    With `importance_samples` k above 1 it is the importance-weighted bound (Burda et al. 2016, arXiv:1509.00519),
    loss = −log (1/k) Σᵢ p(x | zᵢ) (p(zᵢ) / q(zᵢ | x))^beta with k samples zᵢ per image; `reconstruction` is then their
    mean. With `kl_warmup` N, beta grows linearly from 0 to its value in the first N updates, and `elbo` is also
    reported: −reconstruction − kl, which has no beta. An evaluation uses the full beta.

    As in Keras, `loss` also includes the losses of layers (regularizers, `add_loss`). `beta` and `free_bits` can be
    changed, also by a callback within `fit`; the train step is then compiled anew.

    With beta 1, no free bits, one sample and a normalized likelihood (Gaussian, or Bernoulli on pixels that are 0 or 1)
    `loss` is the negative evidence lower bound (ELBO) in nats, and with more samples a tighter bound of −log p(x);
    otherwise it is only an objective. With a Gaussian likelihood the model also reports `mse`, the mean
    squared error per pixel of the reconstruction, and `scale` if it is learned.

    Args:
        encoder: `keras.Model` from images `(n, height, width, channels)` to mean and log-variance, each
            `(n, latent_dim)`.
        decoder: `keras.Model` from latents `(n, latent_dim)` to images or their logits. If both networks take one-hot
            labels as a second input, the model is conditional (Sohn et al. 2015).
        likelihood: str, a key of `losses.LIKELIHOODS`: `"bernoulli"`, the default (the decoder returns each pixel's
            probability), or `"gaussian"` (it returns the mean).
        beta: float, weight of the KL term (Higgins et al. 2017, "beta-VAE"), at least 0. Defaults to 1.
        free_bits: float, lower bound of each latent dimension's KL in the loss, in nats; see `losses.free_bits_kl`.
            Defaults to 0.
        importance_samples: int, samples per image k; above 1 only without free bits. Defaults to 1, the ELBO.
        kl_warmup: int, updates N in which beta grows from 0. Defaults to 0, none.
        scale: float, standard deviation of the Gaussian likelihood in units of the pixels, or its initial value if it
            is learned. Defaults to 1.
        learn_scale: bool, whether the scale, one for all pixels, is learned with the networks (Rybkin et al. 2021,
            "Simple and effective VAE training with calibrated decoders"). Defaults to `False`.
        value_range: tuple, (0, 1), the default, or with the Gaussian likelihood also (-1, 1).
        from_logits: bool, whether the decoder returns logits (see `ImageModel`). Defaults to `True`.
        seed: int, seed of ε. Defaults to 0.

    Raises:
        UsageError: the networks do not fit together, or another argument is out of range.

    Example:
        >>> encoder = keras_gen.networks.mlp_encoder((28, 28, 1), latent_dim=2)
        >>> decoder = keras_gen.networks.mlp_decoder((28, 28, 1), latent_dim=2)
        >>> vae = keras_gen.VAE(encoder, decoder, beta=4.0)
        >>> vae.compile("adam")
        >>> history = vae.fit(images, epochs=5, verbose=0)
    """

    traced_functions = (*GenerativeModel.traced_functions, "_log_weights_function")

    tracked_names = ("loss", "reconstruction", "kl")
    """Names of the quantities that `objective` returns for any likelihood; a subclass adds its own."""

    likelihood, scale, learn_scale, importance_samples = Setting(), Setting(), Setting(), Setting()
    kl_warmup = Setting()
    beta, free_bits = Setting(checks.non_negative), Setting(checks.non_negative)

    def __init__(
        self,
        encoder,
        decoder,
        *,
        likelihood="bernoulli",
        beta=1.0,
        free_bits=0.0,
        importance_samples=1,
        kl_warmup=0,
        scale=1.0,
        learn_scale=False,
        value_range=(0, 1),
        from_logits=True,
        seed=0,
        **kwargs,
    ):
        self.likelihood = checks.one_of("likelihood", likelihood, losses.LIKELIHOODS)
        self.kl_warmup = checks.non_negative_int("kl_warmup", kl_warmup)
        entry = losses.LIKELIHOODS[likelihood]
        reported = {"mse": entry.has_scale, "scale": learn_scale, "elbo": self.kl_warmup}
        tracked_names = (*self.tracked_names, *(name for name, is_reported in reported.items() if is_reported))
        super().__init__(
            value_range=value_range, from_logits=from_logits, seed=seed, tracked_names=tracked_names, **kwargs
        )
        self.beta, self.free_bits = beta, free_bits
        self.importance_samples = checks.positive_int("importance_samples", importance_samples)
        self._check_free_bits()
        self.scale = checks.positive("scale", scale)
        self.learn_scale = checks.boolean("learn_scale", learn_scale)
        if entry.is_discrete and self.value_range != (0, 1):
            raise must_be("value_range", f"(0, 1) with likelihood {likelihood}", self.value_range)
        if learn_scale and not entry.has_scale:
            raise must_be("learn_scale", f"False with likelihood {likelihood}, which has no scale", learn_scale)
        self._set_networks(encoder, decoder, "latents", is_range_fixed=entry.is_discrete)
        if learn_scale:
            initial = keras.initializers.Constant(math.log(self.scale))
            self.log_scale = self.add_weight(name="log_scale", shape=(), initializer=initial, aggregation="mean")
        self.built = True

    def _latent_shape(self, encoder):
        shapes = encoder.output_shape
        if not isinstance(shapes, list | tuple) or len(shapes) != 2 or shapes[0] != shapes[1] or len(shapes[0]) != 2:
            raise must_be("encoder", "a model with two outputs (mean, log_variance) of shape (n, latent_dim)", shapes)
        return shapes[0]

    def objective(self, images, labels, noise_key, *, training):
        """Return `loss`, `reconstruction`, `kl` and the other quantities; see the class."""
        mean, log_variance = self.call_network(self.encoder, images, labels, training=training)
        kl_per_dimension = losses.kl_per_dimension(mean, log_variance)
        kl = tf.reduce_sum(kl_per_dimension, axis=-1)
        if self.importance_samples > 1:
            values = self._importance_weighted(images, labels, mean, log_variance, noise_key, training=training)
        else:
            noise = distribution.normal((tf.shape(images)[0], self.latent_dim), noise_key)
            latents = mean + tf.exp(0.5 * log_variance) * noise
            values = self.negative_log_likelihood(
                images, self.call_network(self.decoder, latents, labels, training=training)
            )
            bounded = kl
            if self.free_bits > 0:
                batch_mean = distribution.global_mean(kl_per_dimension)
                bounded = losses.free_bits_kl(kl_per_dimension, batch_mean, self.free_bits)
            values["loss"] = values["reconstruction"] + self._current_beta(training) * bounded
        return values | {"kl": kl} | ({"elbo": -values["reconstruction"] - kl} if self.kl_warmup else {})

    def _check_free_bits(self):
        if self.importance_samples > 1 and self.free_bits:
            raise must_be("free_bits", "0 with importance_samples above 1", self.free_bits)

    def _current_beta(self, training):
        if not training or not self.kl_warmup:
            return self.beta
        return self.beta * tf.minimum(1.0, tf.cast(self.optimizer.iterations, tf.float32) / self.kl_warmup)

    def _importance_weighted(self, images, labels, mean, log_variance, noise_key, *, training):
        """Return `loss` and the quantities of `negative_log_likelihood`, averaged over the samples of each image."""
        self._check_free_bits()  # it can have been changed
        count = self.importance_samples
        noise = distribution.normal((tf.shape(images)[0], count, self.latent_dim), noise_key)
        latents, values = self.decode_samples(images, labels, mean, log_variance, noise, training=training)
        log_prior_ratio = losses.log_prior_ratio(latents, log_variance[:, tf.newaxis], noise)
        log_weights = self._current_beta(training) * log_prior_ratio - values["reconstruction"]
        bound = tf.reduce_logsumexp(log_weights, axis=1) - math.log(count)
        return {name: tf.reduce_mean(value, axis=1) for name, value in values.items()} | {"loss": -bound}

    def decode_samples(self, images, labels, mean, log_variance, noise, *, training):
        """Return latents z = μ + σ ε of each image and, of each z, the quantities of `negative_log_likelihood`.

        Args:
            images: float tensor `(n, …)` in `value_range`.
            labels: int tensor `(n,)`, or None.
            mean, log_variance: tensors `(n, latent_dim)`, the images' posteriors.
            noise: tensor `(n, samples, latent_dim)`, ε.
            training: bool, passed to the decoder.

        Returns:
            The latents, shape of `noise`, and a dictionary of tensors `(n, samples)`.
        """
        count, shard = tf.shape(noise)[1], sharding.current_shard()
        latents = mean[:, tf.newaxis] + tf.exp(0.5 * log_variance)[:, tf.newaxis] * noise
        images, labels = [None if part is None else tf.repeat(part, count, axis=0) for part in (images, labels)]
        with sharding.use_shard(shard and shard.times(count)):
            flat = tf.reshape(latents, [-1, self.latent_dim])
            output = self.call_network(self.decoder, flat, labels, training=training)
            values = self.negative_log_likelihood(images, output)
        return latents, {name: tf.reshape(value, tf.shape(noise)[:2]) for name, value in values.items()}

    def negative_log_likelihood(self, images: tf.Tensor, output: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return `reconstruction`, −log p(x | z) in nats per image, `(n,)`, from the decoder's output for z.

        With the Gaussian likelihood also return `mse`, and `scale` if it is learned.
        """
        likelihood, scale = losses.LIKELIHOODS[self.likelihood], self._current_scale()
        options = {"output": output, "mean": self.to_images(output), "scale": scale, "from_logits": self.from_logits}
        values = {"reconstruction": likelihood.negative_log(images, **options)}
        if likelihood.has_scale:
            values["mse"] = losses.mean_squared_error(images, options["mean"])
        return values | ({"scale": tf.fill(tf.shape(images)[:1], scale)} if self.learn_scale else {})

    def _current_scale(self):
        return tf.exp(self.log_scale.value) if self.learn_scale else self.scale

    def sample(self, n: int, seed: int = 0, labels=None) -> tf.Tensor:
        """Draw n images from p(x | z), of which `generate` returns the mean, clipped to `value_range`.

        Args:
            n, seed, labels: as in `generate`.

        Returns:
            float32 `(n, height, width, channels)`; with a Gaussian likelihood values can exceed `value_range`.

        Example:
            >>> vae = keras_gen.zoo.build("vae-lstm", latent_dim=2)
            >>> np.unique(vae.sample(3, seed=1))
            array([0., 1.], dtype=float32)
        """
        low, high = self.value_range
        means = self.generate(n, seed, labels)["images_float"] * (high - low) + low
        likelihood = losses.LIKELIHOODS[self.likelihood]
        return likelihood.sample(means, self._current_scale(), tf.constant([seed, PIXELS]))

    def to_latents(self, images, labels=None, *, training=False):
        """Return the posterior's mean."""
        return self.call_network(self.encoder, images, labels, training=training)[0]

    def encode(self, images, labels=None) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the posterior's mean and log-variance, each `(n, latent_dim)`; `images` and `labels` as in `fit`."""
        chunks = self._encode_in_chunks(images, labels)
        mean, log_variance = (tf.concat(values, axis=0) for values in zip(*chunks, strict=True))
        return mean, log_variance

    def log_importance_weights(self, images, samples: int, seed: int = 0, labels=None) -> np.ndarray:
        """Return log w = log p(x | z) + log p(z) − log q(z | x) for samples z from each image's posterior.

        log(mean of w) over an image's samples is on average a lower bound of log p(x) and converges to it as their
        number grows (Burda et al. 2016, arXiv:1509.00519); `metrics.importance_sampling` computes it and diagnoses its
        quality. `beta` and `free_bits`, which belong to the objective, have no effect. Training is not affected.

        A Gaussian likelihood is a density of pixels in [0, 1] for any `value_range`: for (-1, 1) the change of
        variables adds log 2 for each of an image's D values. A Bernoulli likelihood is a probability, normalized only
        on binary images.

        Args:
            images: as in `fit`; with a Bernoulli likelihood only black and white, uint8 0 and 255 or floats 0 and 1.
            samples: int, number k of samples per image, at least 1.
            seed: int, 0 to 2147483647. An image's samples depend on the seed, on `samples` and on the image's index.
                Defaults to 0.
            labels: as in `fit`, required by a conditional model, whose weights are those of p(x | label).

        Returns:
            float64 `(n, samples)`, in nats; networks and likelihoods are computed in float32.

        Raises:
            UsageError: images or labels of a wrong kind, gray images with a Bernoulli likelihood, or a number out of
                range.
        """
        samples, seed = checks.count("samples", samples), checks.seed("seed", seed)
        images, labels = self._checked_arrays("images", images, labels)
        if losses.LIKELIHOODS[self.likelihood].is_discrete:
            importance.check_binary("images", images)
        return importance.log_weights(self, images, labels, samples, seed)

    @functools.cached_property
    def _log_weights_function(self):
        return importance.log_weights_function(self)

    def _codes(self, images, labels, seed):
        mean, log_variance = (np.asarray(part) for part in self.encode(images, labels))
        return mean + np.exp(log_variance / 2) * np.random.default_rng((seed, PIXELS)).standard_normal(mean.shape)

    def _encode_endpoint(self, images, labels=None):
        labels = self._labels_in_range(labels, tf.shape(images)[0])
        mean, log_variance = self.call_network(self.encoder, self.to_value_range(images), labels, training=False)
        return {"mean": mean, "log_variance": log_variance}

    def signs_of_collapse(self, logs: dict[str, float]) -> dict[str, str]:
        """Report posterior collapse: a KL divergence below `MIN_DIVERGENCE`."""
        divergence = logs.get("kl", math.inf)
        symptom = f"its KL divergence is {divergence:.2g} nats, the latents carry no information"
        return {"the encoder": symptom} if divergence < MIN_DIVERGENCE else {}

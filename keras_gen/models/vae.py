"""The variational autoencoder (Kingma & Welling 2013, "Auto-encoding variational Bayes")."""

from __future__ import annotations

import keras_gen.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
import tensorflow as tf

from keras_gen import checks, distribution, losses
from keras_gen.errors import UsageError, must_be
from keras_gen.models import inputs, sampling
from keras_gen.models.base import Endpoint, GenerativeModel, check_network

LIKELIHOODS = ("bernoulli", "gaussian")


@keras.saving.register_keras_serializable("keras_gen")
class VAE(GenerativeModel):
    """Variational autoencoder with a diagonal Gaussian posterior and a standard normal prior.

    The objective is `loss = reconstruction + beta · kl`, each summed over an image or latent and averaged over the
    batch:

    - reconstruction = −log p(x | z), z = μ + σ ε, one sample an image;
    - kl = KL(N(μ, σ²) ‖ N(0, I)).

    With beta 1 and a normalised likelihood (Gaussian, or Bernoulli on pixels that are 0 or 1) `loss` is the negative
    evidence lower bound in nats. Otherwise it is an objective only.

    Args:
        encoder: images `(n, height, width, channels)` to two outputs, mean and log-variance, each `(n, latent_dim)`.
        decoder: latents `(n, latent_dim)` to images, or their logits.
        likelihood: `bernoulli` (the decoder gives each pixel's probability) or `gaussian` (it gives the mean).
        beta: weight of the KL term (Higgins et al. 2017, "beta-VAE"), at least 0.
        scale: standard deviation of the Gaussian likelihood, in units of the pixels.
        value_range: (0, 1), or with the Gaussian likelihood also (-1, 1).
        from_logits: whether the decoder ends in logits (see `GenerativeModel`).
        seed: of ε.

    Raises:
        UsageError: networks that do not fit together, or another argument out of its range.

    Example:
        >>> encoder = keras_gen.networks.mlp_encoder((28, 28, 1), latent_dim=2)
        >>> decoder = keras_gen.networks.mlp_decoder((28, 28, 1), latent_dim=2)
        >>> vae = keras_gen.VAE(encoder, decoder, beta=4.0)
        >>> vae.compile("adam")
        >>> history = vae.fit(images, epochs=5, verbose=0)
    """

    def __init__(
        self,
        encoder,
        decoder,
        *,
        likelihood="bernoulli",
        beta=1.0,
        scale=1.0,
        value_range=(0, 1),
        from_logits=True,
        seed=0,
        **kwargs,
    ):
        super().__init__(
            value_range=value_range,
            from_logits=from_logits,
            seed=seed,
            tracked=("loss", "reconstruction", "kl"),
            **kwargs,
        )
        self.likelihood = checks.one_of("likelihood", likelihood, LIKELIHOODS)
        self.beta = checks.non_negative("beta", beta)
        self.scale = checks.positive("scale", scale)
        if likelihood == "bernoulli" and self.value_range != (0, 1):
            raise UsageError("value_range must be (0, 1) with likelihood bernoulli, received: (-1, 1)")
        self.encoder, self.decoder = _check_pair(encoder, decoder)
        self.built = True

    @property
    def decoder_network(self) -> keras.Model:
        """The decoder."""
        return self.decoder

    @property
    def optimizers(self) -> tuple[keras.optimizers.Optimizer, ...]:
        """The one optimizer."""
        return (self.optimizer,)

    @property
    def updates(self) -> dict[str, int]:
        """Updates of encoder and decoder, which share an optimizer."""
        return {"updates": int(self.optimizer.iterations.numpy())}

    def compile(self, optimizer="adam", **options) -> None:
        """As `GenerativeModel.compile`; the optimizer is of encoder and decoder."""
        super().compile(optimizer=optimizer, **options)
        self.optimizer.build(self.trainable_variables)

    def objective(self, images: tf.Tensor, noise_key: tf.Tensor, *, training: bool) -> dict[str, tf.Tensor]:
        """`loss`, `reconstruction` and `kl` of images in the model's range, one value an image."""
        mean, log_variance = self.encoder(images, training=training)
        noise = distribution.normal((tf.shape(mean)[0], self.latent_dim), noise_key)
        latents = mean + tf.exp(0.5 * log_variance) * noise
        reconstruction = self.negative_log_likelihood(images, self.decoder(latents, training=training))
        kl = losses.kl_divergence(mean, log_variance)
        return {"loss": reconstruction + self.beta * kl, "reconstruction": reconstruction, "kl": kl}

    def negative_log_likelihood(self, images: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        """−log p(x | z) in nats, one value an image, from what the decoder put out for z."""
        if self.likelihood == "bernoulli":
            return losses.bernoulli_negative_log_likelihood(images, output, from_logits=self.from_logits)
        return losses.gaussian_negative_log_likelihood(images, self.images_of(output), self.scale)

    def train_step(self, data):
        """One update of encoder and decoder."""
        images = self.images_from(data)
        with tf.GradientTape() as tape:
            values = self.objective(images, self.training_key(self.optimizer.iterations.value), training=True)
            loss = distribution.mean_over_global_batch(values["loss"])
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.track(values)
        return self.tracked_results()

    def test_step(self, data):
        """The objective of a batch, with one noise sample an image, the same in every evaluation."""
        self.track(self.objective(self.images_from(data), self.next_evaluation_key(), training=False))
        return self.tracked_results()

    def call(self, images, training=False):
        """Reconstructions from the posterior's mean, in the model's range; `images` likewise, or uint8."""
        mean, _ = self.encoder(self.to_value_range(tf.convert_to_tensor(images)), training=training)
        return self.images_of(self.decoder(mean, training=training))

    def encode(self, images) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and log-variance of the posterior, each `(n, latent_dim)`; `images` as in `fit`."""
        images = inputs.check_images("images", images, self.image_shape, self.value_range)
        parts = [self.encoder(self.to_value_range(part), training=False) for part in sampling.chunks_of(images)]
        mean, log_variance = (tf.concat(values, axis=0) for values in zip(*parts, strict=True))
        return mean, log_variance

    def reconstruct(self, images) -> tf.Tensor:
        """Reconstructions from the posterior's mean, in the model's range; `images` as in `fit`."""
        images = inputs.check_images("images", images, self.image_shape, self.value_range)
        return tf.concat([self(part) for part in sampling.chunks_of(images)], axis=0)

    def endpoints(self) -> dict[str, Endpoint]:
        """`generate`, `decode`, and for uint8 images `encode` and `reconstruct`."""
        images = tf.TensorSpec([None, *self.image_shape], tf.uint8, name="images")
        return super().endpoints() | {
            "encode": Endpoint(self._encode_outputs, [images], (self.encoder,)),
            "reconstruct": Endpoint(self._reconstruct_outputs, [images], (self.encoder, self.decoder)),
        }

    def _encode_outputs(self, images):
        mean, log_variance = self.encoder(self.to_value_range(images), training=False)
        return {"mean": mean, "log_variance": log_variance}

    def _reconstruct_outputs(self, images):
        return sampling.image_outputs(sampling.in_chunks(self._reconstruct_unit, images))

    def _reconstruct_unit(self, images):
        return self.to_unit_range(self(images))

    def get_config(self) -> dict:
        """Constructor arguments."""
        return super().get_config() | {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "likelihood": self.likelihood,
            "beta": self.beta,
            "scale": self.scale,
        }


def _check_pair(encoder, decoder):
    check_network("encoder", encoder)
    check_network("decoder", decoder)
    outputs, image = encoder.output_shape, encoder.input_shape
    if not isinstance(outputs, list | tuple) or len(outputs) != 2 or outputs[0] != outputs[1] or len(outputs[0]) != 2:
        raise must_be("encoder", "a model with two outputs (mean, log_variance) of shape (n, latent_dim)", outputs)
    if len(image) != 4:
        raise must_be("encoder", "a model of images (n, height, width, channels)", image)
    if decoder.input_shape != outputs[0]:
        raise must_be("decoder", f"a model of latents {outputs[0]}, as the encoder gives them", decoder.input_shape)
    if decoder.output_shape != image:
        raise must_be("decoder", f"a model that ends in images {image}, as the encoder takes", decoder.output_shape)
    return encoder, decoder

"""Recipes to compare ours with: train steps as Keras users write them, with Keras' optimizers and random numbers.

`keras-io-vae`, `keras-io-gan` and `keras-io-wgan-gp` have the networks and hyperparameters of keras.io's pages, and the
55,000 training images of MNIST that our recipes have; the first two pages train on all 70,000 digits, the third on
Fashion-MNIST. `keras-io-gan-cifar10` is the same GAN on CIFAR-10. `plain-vae-lstm`, `plain-vae-mlp` and
`plain-gan-conv` have the networks of our recipes. The base classes provide data, sampling, scores and exports; the
weights are updated by the train steps of this file, on one device.

python experiments/run.py --recipes experiments/zoo/stock_twins.py --model keras-io-vae
"""

from __future__ import annotations

import math

import keras_gen
import keras
import tensorflow as tf
from keras import layers


class Plain:
    """Images and random numbers for train steps written by hand."""

    def __init__(self, *networks, **options):
        super().__init__(*networks, **options)
        self.noise = keras.random.SeedGenerator()  # from the seed of `keras.utils.set_random_seed`

    def images_of(self, data) -> tf.Tensor:
        """Return the images of a batch."""
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            raise keras_gen.UsageError("the train steps of stock_twins.py are for one device: use --strategy none")
        return self.to_value_range(keras.utils.unpack_x_y_sample_weight(data)[0])

    def random_images(self, count) -> tf.Tensor:
        """Return generated images of new latents."""
        latents = keras.random.normal((count, self.generator.input_shape[-1]), seed=self.noise)
        return self(latents, training=True)


class PlainVAE(Plain, keras_gen.VAE):
    """VAE with the train step of keras.io's page."""

    def train_step(self, data):
        """Update the networks once."""
        images = self.images_of(data)
        with tf.GradientTape() as tape:
            mean, log_variance = self.call_network(self.encoder, images, None, training=True)
            noise = keras.random.normal(tf.shape(mean), seed=self.noise)
            latents = mean + tf.exp(0.5 * log_variance) * noise
            output = self.to_images(self.call_network(self.decoder, latents, None, training=True))
            if self.likelihood == "bernoulli":
                of_pixels = keras.losses.binary_crossentropy(images, output)  # their mean over the channels
            else:
                error = tf.square((images - output) / self.scale)
                of_pixels = tf.reduce_sum(0.5 * error + math.log(self.scale) + 0.5 * math.log(2 * math.pi), axis=-1)
            reconstruction = tf.reduce_sum(of_pixels, axis=(1, 2))
            kl = -0.5 * tf.reduce_sum(1 + log_variance - tf.square(mean) - tf.exp(log_variance), axis=1)
            loss = tf.reduce_mean(reconstruction + kl)
        weights = self.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        values = {"loss": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}
        if self.likelihood == "gaussian":
            values["mse"] = keras_gen.losses.mean_squared_error(images, output)
        self.track(values)
        return self.metric_results()


class PlainGAN(Plain, keras_gen.GAN):
    """GAN with the train step of keras.io's page: generated images are labeled 1, real ones 0, with noisy labels.

    Args:
        label_noise: float, the largest amount that is added to a label. Defaults to 0.05, as on the page.
    """

    def __init__(self, *networks, label_noise=0.05, **options):
        super().__init__(*networks, **options)
        self.label_noise = label_noise

    def get_config(self):
        """Return the constructor arguments."""
        return super().get_config() | {"label_noise": self.label_noise}

    def train_step(self, data):
        """Update the discriminator, then the generator."""
        real = self.images_of(data)
        cross_entropy = keras.losses.BinaryCrossentropy(from_logits=True)
        size = tf.shape(real)[0]
        fake = self.random_images(size)
        labels = tf.concat([tf.ones((size, 1)), tf.zeros((size, 1))], axis=0)
        labels += self.label_noise * keras.random.uniform(tf.shape(labels), seed=self.noise)
        with tf.GradientTape() as tape:
            outputs = self._of_being_generated(tf.concat([fake, real], axis=0))
            d_loss = cross_entropy(labels, outputs)
        weights = self.discriminator.trainable_weights
        self.discriminator_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights, strict=True))
        with tf.GradientTape() as tape:
            output = self._of_being_generated(self.random_images(size * self.generator_batch_ratio))
            g_loss = cross_entropy(tf.zeros_like(output), output)
        weights = self.generator.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))
        fake_logits, real_logits = tf.split(-outputs[:, 0], 2)
        values = {"d_loss_real": tf.nn.softplus(-real_logits), "d_loss_fake": tf.nn.softplus(fake_logits)}
        values |= {"d_real": tf.sigmoid(real_logits), "d_fake": tf.sigmoid(fake_logits)}
        values |= {"d_loss": tf.fill([size], d_loss), "g_loss": tf.fill([size], g_loss)}
        values["jsd"] = keras_gen.losses.jensen_shannon_estimate(0.5 * (values["d_loss_real"] + values["d_loss_fake"]))
        self.track(values)
        return self.metric_results()

    def _of_being_generated(self, images):
        return self.call_network(self.discriminator, images, None, training=True)

    def discriminate(self, images, labels, *, training):
        """Return the logits of being real, as the scores of the base class have them."""
        return -super().discriminate(images, labels, training=training)


class PlainWGAN(Plain, keras_gen.WGAN):
    """WGAN-GP with the train step of keras.io's page: several critic updates on the same batch of real images."""

    batches_per_step = 1
    updates_per_step = property(lambda self: (1, self.critic_steps))

    def train_step(self, data):
        """Update the critic `critic_steps` times, then the generator."""
        real = self.images_of(data)
        size = tf.shape(real)[0]
        for _ in range(self.critic_steps):
            with tf.GradientTape() as tape:
                fake = self.random_images(size)
                emd = self._score(real) - self._score(fake)
                penalty = self._penalty(real, fake, size)
                loss = -tf.reduce_mean(emd) + self.gradient_penalty * tf.reduce_mean(penalty)
            weights = self.critic.trainable_weights
            self.discriminator_optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        with tf.GradientTape() as tape:
            g_loss = -tf.reduce_mean(self._score(self.random_images(size)))
        weights = self.generator.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))
        values = {"critic_loss": loss, "emd": tf.reduce_mean(emd), "g_loss": g_loss}
        values["gradient_penalty"] = tf.reduce_mean(penalty)
        self.track({name: tf.fill([size], value) for name, value in values.items()})
        return self.metric_results()

    def _penalty(self, real, fake, size):
        between = real + keras.random.uniform((size, 1, 1, 1), seed=self.noise) * (fake - real)
        with tf.GradientTape() as tape:
            tape.watch(between)
            output = self._score(between)
        squared = tf.reduce_sum(tf.square(tape.gradient(output, between)), axis=(1, 2, 3))
        return tf.square(tf.sqrt(squared + keras.config.epsilon()) - 1)

    def _score(self, images):
        return self.call_network(self.critic, images, None, training=True)


def two_adams(learning_rate: float, **betas: float) -> list[keras.optimizers.Adam]:
    """Return Keras' own optimizers of a generator and a discriminator."""
    return [keras.optimizers.Adam(learning_rate, **betas) for _ in range(2)]


@keras_gen.zoo.recipe(
    "keras-io-vae",
    source="keras.io/examples/generative/vae",
    dataset="mnist",
    epochs=30,
    batch_size=128,
)
def keras_io_vae(image_shape, *, latent_dim: int = 2) -> keras_gen.VAE:
    """VAE of keras.io: two convolutions in each network, two latent dimensions, Bernoulli likelihood."""
    height, width, channels = image_shape
    images = keras.Input(image_shape)
    x = layers.Conv2D(32, 3, activation="relu", strides=2, padding="same")(images)
    x = layers.Conv2D(64, 3, activation="relu", strides=2, padding="same")(x)
    x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    encoder = keras.Model(images, [layers.Dense(latent_dim)(x), layers.Dense(latent_dim)(x)])
    decoder = keras.Sequential(
        [
            keras.Input((latent_dim,)),
            layers.Dense(height // 4 * (width // 4) * 64, activation="relu"),
            layers.Reshape((height // 4, width // 4, 64)),
            layers.Conv2DTranspose(64, 3, activation="relu", strides=2, padding="same"),
            layers.Conv2DTranspose(32, 3, activation="relu", strides=2, padding="same"),
            layers.Conv2DTranspose(channels, 3, activation="sigmoid", padding="same"),
        ]
    )
    model = PlainVAE(encoder, decoder, from_logits=False)
    model.compile(keras.optimizers.Adam())
    return model


@keras_gen.zoo.recipe(
    "keras-io-gan-cifar10",
    source="keras.io/guides/custom_train_step_in_tensorflow",
    dataset="cifar10",
    epochs=30,
    batch_size=64,
)
@keras_gen.zoo.recipe(
    "keras-io-gan",
    source="keras.io/guides/custom_train_step_in_tensorflow",
    dataset="mnist",
    epochs=30,
    batch_size=64,
)
def keras_io_gan(image_shape, *, latent_dim: int = 128) -> keras_gen.GAN:
    """DCGAN of keras.io's guide: two convolutions and a maximum over the image in the discriminator, noisy labels.

    The 30 epochs are those of the example that had these networks until 2021.
    """
    height, width, channels = image_shape
    discriminator = keras.Sequential(
        [
            keras.Input(image_shape),
            layers.Conv2D(64, 3, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2D(128, 3, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.GlobalMaxPooling2D(),
            layers.Dense(1),
        ]
    )
    generator = keras.Sequential(
        [
            keras.Input((latent_dim,)),
            layers.Dense(height // 4 * (width // 4) * 128),
            layers.LeakyReLU(0.2),
            layers.Reshape((height // 4, width // 4, 128)),
            layers.Conv2DTranspose(128, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2DTranspose(128, 4, strides=2, padding="same"),
            layers.LeakyReLU(0.2),
            layers.Conv2D(channels, 7, padding="same", activation="sigmoid"),
        ]
    )
    model = PlainGAN(generator, discriminator, from_logits=False)
    model.compile(*two_adams(3e-4))
    return model


@keras_gen.zoo.recipe(
    "keras-io-wgan-gp",
    source="keras.io/examples/generative/wgan_gp",
    dataset="mnist",
    epochs=20,
    batch_size=512,
)
def keras_io_wgan_gp(image_shape, *, latent_dim: int = 128, critic_steps: int = 3) -> keras_gen.WGAN:
    """WGAN-GP of keras.io, for gray 28×28 images: four 5×5 convolutions in the critic, nearest-neighbor resizing."""
    images = keras.Input(image_shape)
    x = layers.ZeroPadding2D(2)(images)
    for filters, dropout in ((64, 0), (128, 0.3), (256, 0.3), (512, 0)):
        x = layers.LeakyReLU(0.2)(layers.Conv2D(filters, 5, strides=2, padding="same")(x))
        x = layers.Dropout(dropout)(x) if dropout else x
    critic = keras.Model(images, layers.Dense(1)(layers.Dropout(0.2)(layers.Flatten()(x))))
    latents = keras.Input((latent_dim,))
    x = layers.BatchNormalization()(layers.Dense(4 * 4 * 256, use_bias=False)(latents))
    x = layers.Reshape((4, 4, 256))(layers.LeakyReLU(0.2)(x))
    for filters, activation in (
        (128, layers.LeakyReLU(0.2)),
        (64, layers.LeakyReLU(0.2)),
        (1, layers.Activation("tanh")),
    ):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(layers.UpSampling2D()(x))
        x = activation(layers.BatchNormalization()(x))
    generator = keras.Model(latents, layers.Cropping2D(2)(x))
    model = PlainWGAN(generator, critic, critic_steps=critic_steps, value_range=(-1, 1), from_logits=False)
    model.compile(*two_adams(2e-4, beta_1=0.5, beta_2=0.9))
    return model


@keras_gen.zoo.recipe("plain-vae-lstm", source="R1 §2", dataset="mnist", epochs=100, batch_size=256)
def plain_vae_lstm(image_shape) -> keras_gen.VAE:
    """VAE with the networks of vae-lstm, Keras' Adam and a train step written by hand."""
    ours = keras_gen.zoo.build("vae-lstm", image_shape)
    model = PlainVAE(ours.encoder, ours.decoder)
    model.compile(keras.optimizers.Adam(1e-3))
    return model


@keras_gen.zoo.recipe("plain-vae-mlp", source="R2", dataset="mnist", epochs=50, batch_size=64)
def plain_vae_mlp(image_shape) -> keras_gen.VAE:
    """VAE with the networks of vae-mlp, Keras' Adam and a train step written by hand."""
    ours = keras_gen.zoo.build("vae-mlp", image_shape)
    model = PlainVAE(ours.encoder, ours.decoder, likelihood="gaussian")
    model.compile(keras.optimizers.Adam(5e-3))
    return model


@keras_gen.zoo.recipe("plain-gan-conv", source="R1 §3", dataset="mnist", epochs=100, batch_size=128)
def plain_gan_conv(image_shape) -> keras_gen.GAN:
    """GAN with the report's networks and learning rate, dropout 0.4, a train step written by hand and no penalty."""
    ours = keras_gen.zoo.build("gan-conv", image_shape, dropout=0.4)
    model = PlainGAN(ours.generator, ours.discriminator, label_noise=0.0, generator_batch_ratio=2)
    model.compile(*two_adams(1e-4, beta_1=0.5))
    return model

"""Recipes of variational autoencoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_gen.utils import checks
from keras_gen.zoo import common
from keras_gen.zoo.registry import recipe

if TYPE_CHECKING:
    from keras_gen.models import VAE


@recipe(
    "vae-lstm",
    aliases=("vae",),
    source="R1 §2",
    dataset="mnist",
    epochs=100,
    batch_size=256,
    weights=39_673_598,
    options=common.VAE_OPTIONS,
    allows_bfloat16=True,
)
def vae_lstm(
    image_shape,
    *,
    latent_dim: int = 64,
    units: int = 64,
    dropout: float = 0.2,
    learning_rate: float = 1e-3,
    num_classes,
    **options,
) -> VAE:
    """VAE: LSTM over the image's rows, transposed-convolution decoder, Bernoulli likelihood.

    From the report: 64 LSTM units, latent size 64, the decoder layer by layer, binary cross-entropy summed over the
    pixels plus the KL term, 100 epochs, batch size 256, FID every 10 epochs. The report clips probabilities at 1e-7,
    where this recipe computes from logits; its log σ is a log-variance here, the same family.

    Ours: Adam with learning rate 1e-3, ReLU, dropout rate 0.2, beta (1 is the report's objective).

    Measured (vae-lstm): saved_models/vae-lstm/README.md.
    """
    from keras_gen import networks
    from keras_gen.models import VAE

    encoder = networks.lstm_encoder(image_shape, latent_dim=latent_dim, units=units, num_classes=num_classes)
    decoder = networks.lstm_vae_decoder(image_shape, latent_dim=latent_dim, dropout=dropout, num_classes=num_classes)
    model = VAE(encoder, decoder, likelihood="bernoulli", **options)
    model.compile(common.adam(learning_rate))
    return model


@recipe(
    "vae-mlp",
    source="R2",
    dataset="mnist",
    epochs=50,
    batch_size=64,
    weights=486_216,
    defaults={"scale": 1.0},
    options=common.GAUSSIAN_OPTIONS,
    steps_per_execution=common.SHORT_STEPS,
    allows_bfloat16=True,
)
def vae_mlp(
    image_shape,
    *,
    latent_dim: int = 16,
    hidden: int = 300,
    learning_rate: float = 5e-3,
    num_classes,
    **options,
) -> VAE:
    """VAE: one hidden layer in each network, Gaussian likelihood with standard deviation 1.

    From the report: 784-300-32 and 16-300-784 with ReLU and a sigmoid output, N(x; f(z), 1), 50 epochs, batch size 64,
    Adam with learning rate 5e-3, 55,000 training and 5,000 validation images. The loss is −ELBO in nats and, with
    scale 1 and beta 1, can't be below 720.4 for 784 pixels; the report's was negative.

    Ours: pixels in [0, 1] (the report "standardised" them without saying how); the second half of the 32 is a
    log-variance. A scale of 1 is wide for pixels in [0, 1], so the posterior keeps few latent dimensions; a smaller
    scale keeps more.

    Measured (vae-mlp): saved_models/vae-mlp/README.md.
    """
    from keras_gen import networks
    from keras_gen.models import VAE

    sizes = {"latent_dim": latent_dim, "hidden": (checks.positive_int("hidden", hidden),), "num_classes": num_classes}
    model = VAE(
        networks.mlp_encoder(image_shape, **sizes),
        networks.mlp_decoder(image_shape, **sizes),
        likelihood="gaussian",
        **options,
    )
    model.compile(common.adam(learning_rate))
    return model


@recipe(
    "vae-conv",
    source="R3",
    dataset="mnist",
    epochs=20,
    batch_size=128,
    weights=1_560_011,
    options=common.GAUSSIAN_OPTIONS,
)
def vae_conv(
    image_shape,
    *,
    depth: int = 5,
    latent_dim: int = 100,
    width: int = 32,
    hidden: int = 256,
    learning_rate: float = 3e-4,
    num_classes,
    **options,
) -> VAE:
    """VAE: convolutions with batch normalization, depth 1 to 5, Gaussian likelihood, images in [-1, 1].

    From the report: the encoder repeats (convolution, batch normalization, ReLU) `depth` times and ends in a dense
    layer. The decoder is a dense layer, `depth` − 1 times (transposed convolution, batch normalization, ReLU), a
    convolution, batch normalization and tanh. The loss is the squared error plus the KL term times a factor; depth 5,
    latent size 100, learning rate 3e-4.

    Ours: Adam, batch size 128, 20 epochs, 3×3 kernels, stride 2 while the side is above 4 and 1 below, `width` filters
    at the image, doubled layer by layer up to four times as many, a dense layer of 256. The squared error is summed
    over the pixels, which is a `scale` of √½, and the factor is `beta`, 1.

    Measured (vae-conv): saved_models/vae-conv/README.md.
    """
    from keras_gen.models import VAE

    filters = common.doubling_filters(depth, first=checks.positive_int("width", width), largest=4 * width)
    model = VAE(
        *common.conv_vae_networks(
            image_shape, latent_dim=latent_dim, filters=filters, hidden=hidden, num_classes=num_classes
        ),
        likelihood="gaussian",
        value_range=(-1, 1),
        **options,
    )
    model.compile(common.adam(learning_rate))
    return model


@recipe(
    "vae-imagenette",
    source="R2",
    dataset="imagenette",
    epochs=50,
    batch_size=64,
    weights=5_120_522,
    options=common.VAE_OPTIONS,
)
def vae_imagenette(
    image_shape,
    *,
    latent_dim: int = 128,
    width: int = 32,
    hidden: int = 512,
    learning_rate: float = 1e-3,
    num_classes,
    **options,
) -> VAE:
    """VAE: four convolutions in each network, Gaussian likelihood with a learned standard deviation, for photographs.

    From the report: only the data set, which the report left out for lack of time; the Gaussian likelihood is that of
    vae-mlp.

    Ours: images of 64×64, the networks of vae-conv with depth 4 and 32 to 256 filters, images in [0, 1] from a sigmoid,
    a learned scale, since 1 is far too wide for photographs, latent size 128, batch size 64, 50 epochs, Adam 1e-3.
    """
    from keras_gen.models import VAE

    filters = common.doubling_filters(4, first=checks.positive_int("width", width), largest=8 * width)
    model = VAE(
        *common.conv_vae_networks(
            image_shape, latent_dim=latent_dim, filters=filters, hidden=hidden, num_classes=num_classes
        ),
        likelihood="gaussian",
        scale=0.25,
        learn_scale=True,
        **options,
    )
    model.compile(common.adam(learning_rate))
    return model


@recipe(
    "vae-2d",
    source="R4 §1",
    dataset="mnist",
    epochs=7,
    batch_size=16,
    weights=550_629,
    defaults={"beta": 0.392},
    options=common.VAE_OPTIONS,
)
def vae_2d(
    image_shape,
    *,
    latent_dim: int = 2,
    learning_rate: float = 1e-3,
    num_classes,
    **options,
) -> VAE:
    """VAE with two latent dimensions, for plots of the latent plane: convolutional, Bernoulli likelihood.

    From the report: 3×3 convolutions with ReLU and 32, 64 (stride 2), 64 and 64 filters, a dense layer of 32, latent
    size 2; a dense layer to 14×14×64, a transposed convolution of 32 with stride 2, a convolution and a sigmoid; binary
    cross-entropy plus the KL term; batch size 16. From the code that the report links: RMSprop, 7 epochs, and as
    objective the mean cross-entropy of the pixels minus 5e-4 times the mean of 1 + log σ² − μ² − σ² over the two latent
    dimensions. That mean is the negative KL divergence, so in summed nats `beta` is 784 · 5e-4 = 0.392. The report's
    own Keras program never ran and confused σ with log σ in one line.

    Ours: RMSprop's learning rate 1e-3.

    Measured (vae-2d): saved_models/vae-2d/README.md.
    """
    from keras_gen import networks
    from keras_gen.models import VAE

    encoder = networks.conv_encoder(
        image_shape,
        latent_dim=latent_dim,
        filters=(32, 64, 64, 64),
        strides=(1, 2, 1, 1),
        hidden=32,
        batch_norm=False,
        num_classes=num_classes,
    )
    decoder = networks.conv_decoder(
        image_shape, latent_dim=latent_dim, filters=(64, 32), batch_norm=False, num_classes=num_classes
    )
    model = VAE(encoder, decoder, likelihood="bernoulli", **options)
    model.compile(common.rmsprop(learning_rate))
    return model


@recipe(
    "vae-dense-cifar10",
    source="R5 §2.3",
    dataset="cifar10",
    epochs=100,
    batch_size=128,
    weights=3_675_904,
    defaults={"latent_dim": 512},
    options=common.GAUSSIAN_OPTIONS,
    steps_per_execution=common.SHORT_STEPS,
)
@recipe(
    "vae-dense",
    source="R5 §2.3",
    dataset="mnist",
    epochs=100,
    batch_size=128,
    weights=1_157_776,
    options=common.GAUSSIAN_OPTIONS,
    steps_per_execution=common.SHORT_STEPS,
)
def vae_dense(
    image_shape,
    *,
    latent_dim: int = 64,
    learning_rate: float = 1e-4,
    num_classes,
    **options,
) -> VAE:
    """VAE: three fully connected layers in each network, summed squared error.

    From the report: three dense layers with ReLU to mean and log-variance; dense layers with ReLU and a sigmoid output
    in the decoder; squared error and KL, both summed; learning rate 1e-4, batch size 128; latent size 2, then 64 on
    MNIST; 64, then 512 on CIFAR-10; 20, then 100 epochs (the defaults are the last values).

    Ours: 512, 256 and 128 units, mirrored in the decoder; Adam. The summed squared error is a Gaussian likelihood with
    a `scale` of √½, apart from the constant ½ D log π (448.7 nats for 784 pixels), which `loss` contains.

    Measured (vae-dense): saved_models/vae-dense/README.md.

    Measured (vae-dense-cifar10): saved_models/vae-dense-cifar10/README.md.
    """
    from keras_gen import networks
    from keras_gen.models import VAE

    hidden = (512, 256, 128)
    model = VAE(
        networks.mlp_encoder(image_shape, latent_dim=latent_dim, hidden=hidden, num_classes=num_classes),
        networks.mlp_decoder(image_shape, latent_dim=latent_dim, hidden=hidden[::-1], num_classes=num_classes),
        likelihood="gaussian",
        **options,
    )
    model.compile(common.adam(learning_rate))
    return model


@recipe(
    "vae-burda",
    source="Burda et al. 2016",
    dataset="mnist",
    epochs=700,
    batch_size=100,
    weights=425_284,
    binarize="dynamic",
    validation=0,
    learning_rate_decay="linear",
    options=common.VAE_OPTIONS,
    steps_per_execution=common.SHORT_STEPS,
)
def vae_burda(
    image_shape,
    *,
    latent_dim: int = 50,
    hidden: int = 200,
    output_bias: float = -4.0,
    learning_rate: float = 1e-3,
    num_classes,
    **options,
) -> VAE:
    """VAE whose likelihood can be compared with the literature: two tanh layers, dynamically binarized MNIST.

    From the paper (arXiv:1509.00519, section 5, one stochastic layer): two layers of 200 units with tanh in each
    network, latent size 50, Bernoulli likelihood, pixels drawn anew in each epoch with the probability of their gray
    level, all 60,000 training images, Adam; `importance_samples` 1, 5 and 50 (1 is the VAE). The paper's −log p(x) of
    the test images, with 5,000 importance samples, is 86.76, 85.54 and 84.78 nats.

    Ours: batch size 100 in place of 20, a learning rate that decays linearly from 1e-3 to 0 in place of seven steps in
    3,280 epochs, and `output_bias`, the initial bias of the pixels' logits. After 120 epochs with k = 1, −log p(x) of
    2,000 test images (1,000 importance samples) was 89.6 with −4, 89.8 with the mean image's logits, and 90.7 with 0
    (one seed each).

    Measured (vae-burda): saved_models/vae-burda/README.md; with five importance samples,
    saved_models/vae-burda-k5/README.md; with 50, in fewer epochs, saved_models/vae-burda-k50/README.md; with labels,
    saved_models/vae-burda-labels/README.md.
    """
    from keras_gen import networks
    from keras_gen.models import VAE

    width = checks.positive_int("hidden", hidden)
    sizes = {"latent_dim": latent_dim, "hidden": (width, width), "activation": "tanh", "num_classes": num_classes}
    decoder = networks.mlp_decoder(image_shape, output_bias=output_bias, **sizes)
    model = VAE(networks.mlp_encoder(image_shape, **sizes), decoder, **options)
    model.compile(common.adam(learning_rate))
    return model

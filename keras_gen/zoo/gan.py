"""Recipes of generative adversarial networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_gen.utils import checks
from keras_gen.zoo import common
from keras_gen.zoo.registry import recipe

if TYPE_CHECKING:
    from keras_gen.models import GAN


@recipe(
    "gan-conv",
    aliases=("gan",),
    source="R1 §3",
    dataset="mnist",
    epochs=100,
    batch_size=128,
    weights=1_204_994,
    defaults={"moving_average": 0.999, "regularizers": "r1:1"},
    options=common.ADVERSARIAL_OPTIONS,
)
def gan_conv(
    image_shape,
    *,
    latent_dim: int = 100,
    dropout: float = 0.0,
    slope: float = 0.2,
    learning_rate: float = 1e-4,
    generator_learning_rate: float | None = 5e-4,
    beta_1: float = 0.5,
    num_classes,
    **options,
) -> GAN:
    """GAN: convolutional discriminator and generator, non-saturating cross-entropy.

    From the report: both networks layer by layer (40,705 and 1,164,289 parameters), a discriminator batch of 128 real
    and 128 generated images (`batch_size` counts the real ones), a generator batch of 256 latents, Adam with learning
    rate 1e-4 for the discriminator, 100 epochs, FID every 10.

    Ours: a generator's learning rate of 5e-4 (`generator_learning_rate`; None: as `learning_rate`), β₁ 0.5, LeakyReLU
    slope 0.2, no dropout, the penalty R1 with weight 1, images in [0, 1] from a sigmoid, samples from a moving average
    of the generator's weights. With 1e-4 for both networks, dropout 0.4 and no penalty, `fd_lenet` fell more slowly
    (MNIST, after 7 epochs: 157 instead of 102); with dropout 0.2 the discriminator won in the first epoch.

    Measured (gan-conv): saved_models/gan-conv/README.md. About a third of the images are parts of digits that do not
    fit together. The discriminator's loss stays near log 2 from the first epoch on: it hardly tells generated images
    from real ones. Two probable causes are that the generator learns faster, and that the discriminator of the report
    judges small parts: each of its 49 positions sees 7×7 pixels, and the last layer adds up their scores. With 5e-4 for
    the discriminator and 1e-4 for the generator, `fd_lenet` was 128 after 3 epochs instead of 162; this was not
    continued, since the report gives the discriminator's rate. As a WGAN with gradient penalty (wgan-conv), the same
    networks reach the same scores, which makes the second cause more likely.
    """
    from keras_gen.models import GAN

    model = GAN(
        *common.conv_gan_networks(
            image_shape, latent_dim=latent_dim, dropout=dropout, slope=slope, num_classes=num_classes
        ),
        generator_batch_ratio=2,
        **options,
    )
    if generator_learning_rate is None:
        generator_learning_rate = learning_rate
    generator_learning_rate = checks.positive("generator_learning_rate", generator_learning_rate)
    model.compile(common.adam(generator_learning_rate, beta_1), common.adam(learning_rate, beta_1))
    return model


@recipe(
    "gan-mlp",
    source="R2",
    dataset="mnist",
    epochs=50,
    batch_size=64,
    weights=476_885,
    options=common.ADVERSARIAL_OPTIONS,
    steps_per_execution=common.SHORT_STEPS,
)
def gan_mlp(
    image_shape,
    *,
    latent_dim: int = 16,
    hidden: int = 300,
    objective: str = "non_saturating",
    learning_rate: float = 2e-4,
    beta_1: float = 0.5,
    num_classes,
    **options,
) -> GAN:
    """GAN: one hidden layer in each network, non-saturating cross-entropy.

    From the report: generator 16-300-784 with ReLU and a linear output, discriminator 784-300-1 with ReLU, binary
    cross-entropy, one optimizer per network, losses on real and generated images recorded separately, 50 epochs, batch
    size 64, Adam with learning rate 2e-4.

    Ours: β₁ 0.5, pixels in [0, 1]; the linear generator's output is clipped to that range only when it is converted to
    an image. `objective` is any that `keras_gen.GAN` accepts.

    Measured (gan-mlp): saved_models/gan-mlp/README.md.
    """
    from keras_gen import networks
    from keras_gen.models import GAN

    hidden = (checks.positive_int("hidden", hidden),)
    generator = networks.mlp_decoder(image_shape, latent_dim=latent_dim, hidden=hidden, num_classes=num_classes)
    generator.name = "generator"
    model = GAN(
        generator,
        networks.mlp_discriminator(image_shape, hidden=hidden, num_classes=num_classes),
        objective=objective,
        from_logits=False,
        **options,
    )
    model.compile(*common.adam_pair(learning_rate, beta_1))
    return model


@recipe(
    "lsgan-conv",
    source="R3",
    dataset="mnist",
    epochs=20,
    batch_size=64,
    weights=2_771_394,
    options=common.ADVERSARIAL_OPTIONS,
)
def lsgan_conv(
    image_shape,
    *,
    depth: int = 5,
    latent_dim: int = 100,
    width: int = 32,
    objective: str = "least_squares",
    learning_rate: float = 3e-4,
    beta_1: float = 0.5,
    num_classes,
    **options,
) -> GAN:
    """Least-squares GAN: transposed convolutions from 1×1, depth 1 to 5, batch normalization, images in [-1, 1].

    From the report: the generator repeats (transposed convolution, batch normalization, ReLU) `depth` times and ends in
    a transposed convolution and tanh. The discriminator is a convolution, `depth` − 1 times (convolution, batch
    normalization) and a convolution, each with LeakyReLU, and a dense unit. The loss is the squared distance of the
    discriminator's output to 1 and 0.

    Not from the report: its discriminator ends in a sigmoid, which is left out here, as in Mao et al. 2017. With the
    sigmoid (`objective` "least_squares_sigmoid") the discriminator wins within an epoch, the generator's gradient,
    which has the factor D(G(z)) (1 − D(G(z)))², vanishes, and the images stay noise. Five other pairs of learning
    rates, tried for 300 to 840 updates, gave noise or a few blurred shapes.

    Ours: depth 5, latent size 100 and learning rate 3e-4 as in vae-conv; Adam with β₁ 0.5, batch size 64, 20 epochs,
    5×5 kernels, stride 2 while the side is above 4 and 1 below, LeakyReLU slope 0.2, `width` filters at the image,
    doubled layer by layer up to four times as many. `objective` is any that `keras_gen.GAN` accepts.

    Measured (lsgan-conv): saved_models/lsgan-conv/README.md.
    """
    from keras_gen.models import GAN

    model = GAN(
        *common.deep_conv_gan_networks(
            image_shape, depth=depth, latent_dim=latent_dim, width=width, num_classes=num_classes
        ),
        objective=objective,
        value_range=(-1, 1),
        **options,
    )
    model.compile(*common.adam_pair(learning_rate, beta_1))
    return model


@recipe(
    "dcgan-celeba",
    source="R4 §3.3.2",
    dataset="celeb_a",
    image_size=28,
    epochs=1,
    batch_size=32,
    weights=5_969_284,
    options=common.ADVERSARIAL_OPTIONS,
)
@recipe(
    "dcgan",
    source="R4 §3",
    dataset="mnist",
    epochs=20,
    batch_size=64,
    weights=5_959_682,
    options=common.ADVERSARIAL_OPTIONS,
)
def dcgan(
    image_shape,
    *,
    latent_dim: int = 100,
    dropout: float = 0.1,
    slope: float = 0.2,
    learning_rate: float = 2e-4,
    beta_1: float = 0.5,
    num_classes,
    **options,
) -> GAN:
    """DCGAN: 5×5 transposed convolutions with batch normalization, dropout in both networks, images in [-1, 1].

    From the report: the generator goes from 4×4×512 over 256 and 128 filters, with a nearest-neighbor resize to 7×7 in
    between, to tanh. The discriminator has 64, 128 and 256 filters, batch normalization on the last two, LeakyReLU 0.2.
    Both have dropout 0.1 and Glorot initialization. On CelebA one epoch, whose log ends at step 6,330, so batch size
    32. From the code that the report links: a central crop of 108×108, resized to 28×28.

    Ours: the non-saturating loss (the report's listing is lost), latent size 100, Adam with learning rate 2e-4 and
    β₁ 0.5, and on MNIST batch size 64 and 20 epochs.

    Measured (dcgan): saved_models/dcgan/README.md.
    """
    from keras_gen import networks
    from keras_gen.models import GAN

    model = GAN(
        networks.dcgan_generator(
            image_shape, latent_dim=latent_dim, dropout=dropout, slope=slope, num_classes=num_classes
        ),
        networks.deep_conv_discriminator(
            image_shape,
            filters=(64, 128, 256),
            strides=(2, 2, 2),
            dropout=dropout,
            slope=slope,
            num_classes=num_classes,
        ),
        value_range=(-1, 1),
        **options,
    )
    model.compile(*common.adam_pair(learning_rate, beta_1))
    return model


@recipe(
    "gan-jsd-cifar10",
    source="R5 §2.4",
    dataset="cifar10",
    epochs=100,
    batch_size=64,
    weights=3_345_540,
    defaults={"latent_dim": 512},
    options=common.ADVERSARIAL_OPTIONS,
)
@recipe(
    "gan-jsd",
    source="R5 §2.4",
    dataset="mnist",
    epochs=100,
    batch_size=64,
    weights=1_502_210,
    options=common.ADVERSARIAL_OPTIONS,
)
def gan_jsd(
    image_shape,
    *,
    latent_dim: int = 64,
    width: int = 64,
    objective: str = "non_saturating",
    learning_rate: float = 1e-4,
    beta_1: float = 0.5,
    num_classes,
    **options,
) -> GAN:
    """GAN that reports its estimate of the Jensen-Shannon divergence: three transposed convolutions from 1×1.

    From the report: the generator repeats (transposed convolution, batch normalization, ReLU) three times and ends in a
    transposed convolution and tanh. The discriminator is a convolution and a convolution with batch normalization, both
    with LeakyReLU, and a convolution to one value. The loss is the GAN loss, which the report calls JSD. Latent size 2,
    then 64 on MNIST; 64, then 512 on CIFAR-10; 20, then 100 epochs (the defaults are the last values); learning rate
    1e-4, batch size 64.

    Ours: the non-saturating loss, Adam with β₁ 0.5, 5×5 kernels, stride 2, LeakyReLU slope 0.2, `width` filters at the
    image, doubled layer by layer.

    Measured (gan-jsd): saved_models/gan-jsd/README.md.

    Measured (gan-jsd-cifar10): saved_models/gan-jsd-cifar10/README.md.
    """
    from keras_gen.models import GAN

    model = GAN(
        *common.gan_jsd_networks(image_shape, latent_dim=latent_dim, width=width, num_classes=num_classes),
        objective=objective,
        value_range=(-1, 1),
        **options,
    )
    model.compile(*common.adam_pair(learning_rate, beta_1))
    return model


@recipe(
    "gan-imagenette",
    source="R2",
    dataset="imagenette",
    epochs=100,
    batch_size=64,
    weights=9_444_228,
    defaults={"moving_average": 0.999},
    options=common.ADVERSARIAL_OPTIONS,
)
def gan_imagenette(
    image_shape,
    *,
    latent_dim: int = 100,
    width: int = 64,
    learning_rate: float = 2e-4,
    beta_1: float = 0.5,
    num_classes,
    **options,
) -> GAN:
    """GAN: four convolutions with batch normalization in each network, for photographs.

    From the report: only the data set, which the report left out for lack of time; the non-saturating cross-entropy is
    that of gan-mlp.

    Ours: images of 64×64 in [-1, 1], a generator from 4×4 over 512, 256, 128 and 64 filters, a discriminator of 64 to
    512, 5×5 kernels, Adam with learning rate 2e-4 and β₁ 0.5 (Radford et al. 2015), batch size 64, 100 epochs, samples
    from a moving average of the generator's weights.
    """
    from keras_gen import networks
    from keras_gen.models import GAN

    filters = common.doubling_filters(4, first=checks.positive_int("width", width), largest=8 * width)
    model = GAN(
        networks.deep_conv_generator(
            image_shape, latent_dim=latent_dim, filters=filters[::-1], num_classes=num_classes
        ),
        networks.deep_conv_discriminator(image_shape, filters=filters, num_classes=num_classes),
        value_range=(-1, 1),
        **options,
    )
    model.compile(*common.adam_pair(learning_rate, beta_1))
    return model


@recipe(
    "sngan-cifar10",
    source="Miyato et al. 2018",
    dataset="cifar10",
    epochs=100,
    batch_size=64,
    weights=6_749_252,
    learning_rate_decay="linear",
    options=common.ADVERSARIAL_OPTIONS,
)
@recipe(
    "sngan",
    source="Miyato et al. 2018",
    dataset="mnist",
    epochs=50,
    batch_size=64,
    weights=5_209_922,
    learning_rate_decay="linear",
    options=common.ADVERSARIAL_OPTIONS,
)
def sngan(
    image_shape,
    *,
    latent_dim: int = 128,
    width: int = 64,
    objective: str = "hinge",
    discriminator_steps: int = 1,
    learning_rate: float = 2e-4,
    beta_1: float = 0.5,
    num_classes,
    **options,
) -> GAN:
    """SNGAN: spectral normalization of the discriminator's weights, hinge loss, the paper's small CNN.

    From the paper (arXiv:1802.05957, table 3 and section 4): the generator goes from 4×4×512 over 256, 128 and 64
    filters to tanh, the discriminator alternates 3×3 convolutions and 4×4 convolutions with stride 2, with 64, 64, 128,
    128, 256, 256 and 512 filters, LeakyReLU 0.1 and a dense unit, all with spectral normalization; latent size 128,
    batch size 64, Adam with learning rate 2e-4.

    Ours: β₁ and `discriminator_steps`, by the experiment below; `width` filters at the image, of which the others are
    multiples; MNIST's 28×28 images, whose sides are doubled twice, from 7×7×256, so that the generator has three
    widths; the epochs, over which the learning rate decays linearly to 0; the weights themselves are divided by their
    largest singular value, where the paper divides a copy, with one power iteration whenever the discriminator is
    called in training, also in an update of the generator.

    Measured (sngan-cifar10): saved_models/sngan-cifar10/README.md. After 4 epochs with `width=16` (2,864 updates of
    each network), fd_cifar was 24.8 with β₁ 0.5, 25.3 with β₁ 0, and 34.4 with `discriminator_steps=5` at as many
    updates of the discriminator. The paper trains 100,000 updates of the whole width.

    Measured (sngan): saved_models/sngan/README.md.
    """
    from keras_gen import networks
    from keras_gen.models import GAN

    width = checks.positive_int("width", width)
    doublings = 3 if all(side % 8 == 0 for side in image_shape[:2]) else 2
    filters = tuple(width * 2**level for level in range(doublings, -1, -1))
    model = GAN(
        networks.upsampling_generator(image_shape, latent_dim=latent_dim, filters=filters, num_classes=num_classes),
        networks.deep_conv_discriminator(
            image_shape,
            filters=tuple(width * factor for factor in (1, 1, 2, 2, 4, 4, 8)),
            kernel_size=(3, 4, 3, 4, 3, 4, 3),
            strides=(1, 2, 1, 2, 1, 2, 1),
            slope=0.1,
            normalization="spectral",
            num_classes=num_classes,
        ),
        objective=objective,
        discriminator_steps=discriminator_steps,
        value_range=(-1, 1),
        **options,
    )
    model.compile(*common.adam_pair(learning_rate, beta_1))
    return model

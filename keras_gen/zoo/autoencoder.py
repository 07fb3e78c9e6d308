"""Recipes of autoencoders and denoising autoencoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keras_gen.utils import checks
from keras_gen.zoo import common
from keras_gen.zoo.registry import recipe

if TYPE_CHECKING:
    from keras_gen.models import Autoencoder


@recipe("ae-conv", source="R4 §2", dataset="mnist", epochs=20, batch_size=200, weights=4_385, fid_every=0)
def ae_conv(image_shape, *, width: int = 8, learning_rate: float = 1e-3) -> Autoencoder:
    """Autoencoder: three convolutions with max-pooling, nearest-neighbor resizing in the decoder.

    From the report: 3×3 convolutions with 16, 8 and 8 filters and ReLU, each followed by 2×2 max-pooling, encode to a
    latent of 4×4×8. The decoder resizes to 7, 14 and 28, with 8, 8 and 16 filters, and ends in a convolution. The loss
    is sigmoid cross-entropy, averaged over the pixels; the report reaches 0.094 to 0.101. From the code that the report
    links: batch size 200, 20 epochs, Adam with learning rate 1e-3.

    Ours: `width`, the number of filters of the latent.

    Measured (ae-conv): saved_models/ae-conv/README.md.
    """
    from keras_gen import networks
    from keras_gen.models import Autoencoder

    width = checks.positive_int("width", width)
    encoder = networks.pooling_encoder(image_shape, filters=(2 * width, width, width))
    decoder = networks.resizing_decoder(image_shape, filters=(width, width, 2 * width))
    model = Autoencoder(encoder, decoder)
    model.compile(common.adam(learning_rate))
    return model


@recipe("dae-conv", source="R4 §2.4", dataset="mnist", epochs=100, batch_size=200, weights=30_689, fid_every=0)
def dae_conv(
    image_shape, *, corruption: str = "gaussian", corruption_level: float = 0.5, learning_rate: float = 1e-3
) -> Autoencoder:
    """Denoising autoencoder: the input is an image with Gaussian noise, the target is the clean image.

    From the report: the encoder of ae-conv with 32, 32 and 16 filters, the mirrored decoder and the same loss. From the
    code that the report links: noise of standard deviation 0.5 on pixels in [0, 1], clipped to that range, batch size
    200, 100 epochs, Adam with learning rate 1e-3. The report's last up-sampling uses the output of the wrong layer and
    so skips one; here no layer is skipped.

    Ours: other kinds and levels of corruption, see `keras_gen.Autoencoder`.

    Measured (dae-conv): saved_models/dae-conv/README.md.
    """
    from keras_gen import networks
    from keras_gen.models import Autoencoder

    encoder = networks.pooling_encoder(image_shape, filters=(32, 32, 16))
    decoder = networks.resizing_decoder(image_shape, filters=(16, 32, 32))
    model = Autoencoder(encoder, decoder, corruption=corruption, corruption_level=corruption_level)
    model.compile(common.adam(learning_rate))
    return model

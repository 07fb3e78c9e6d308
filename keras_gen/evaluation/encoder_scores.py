"""Scores of models that encode images: reconstructions, and of VAEs likelihood and latents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keras_gen.data import preprocessing
from keras_gen.evaluation.reference import fingerprint_of
from keras_gen.evaluation.score import Score
from keras_gen.metrics import importance_sampling, latent_units, reconstruction
from keras_gen.utils import progress

if TYPE_CHECKING:
    from keras_gen.models import VAE
    from keras_gen.models.encoder_decoder import EncoderDecoder


def reconstruction_scores(model: EncoderDecoder, images: np.ndarray, labels, protocol: dict) -> list[Score]:
    """Mean squared error, PSNR and SSIM of a model's reconstructions of images; see `metrics.reconstruction`.

    A VAE reconstructs from the posterior's mean; a denoiser is given the images without noise.

    Args:
        model: what reconstructs.
        images: uint8, shape `(n, H, W, C)`.
        labels: of the images, if the model is conditional; else None.
        protocol: what says which images these are.
    """
    reconstructed = np.asarray(model.to_unit_range(model.reconstruct(images, labels)))
    with progress.timer(f"errors of {len(images):,} reconstructions"):
        error = reconstruction.reconstruction_error(images, reconstructed)
    protocol = {"images_count": len(images), "images_fingerprint": fingerprint_of(images)[:16], **protocol}
    better = {"mse": "low", "psnr": "high", "ssim": "high"}
    return [
        Score(f"reconstruction_{name}", value, {"metric": f"reconstruction_{name}", **protocol}, better[name])
        for name, value in error._asdict().items()
    ]


def likelihood_scores(
    model: VAE, images: np.ndarray, labels, protocol: dict, *, count: int, samples: int, seed: int
) -> list[Score]:
    """Negative log-likelihood of images by importance sampling, in nats an image; see `metrics.importance_sampling`.

    A Bernoulli likelihood is one for black and white only: gray images are binarized first, each pixel white with the
    probability of its gray (stochastic, seed 0, all `images` in order). A Gaussian one is a density, of pixels
    measured in [0, 1]; it can be negative.

    Args:
        model: the VAE.
        images: uint8, shape `(n, H, W, C)`.
        labels: of the images, if the model is conditional; else None.
        protocol: what says which images these are.
        count: how many images to use, the first ones; all if there are fewer.
        samples: from the posterior, an image.
        seed: of those samples.
    """
    binarized = "no"
    if model.likelihood == "bernoulli":
        is_binary = bool(np.isin(images, (0, 255)).all())
        binarized = "in the data" if is_binary else "stochastic, seed 0"
        if not is_binary:
            images = preprocessing.binarize(images, "stochastic", np.random.default_rng(0))
    images = images[:count]
    labels = None if labels is None else labels[:count]
    log_weights = model.log_importance_weights(images, samples, seed=seed, labels=labels)
    values = -importance_sampling.log_likelihood_bound(log_weights)
    protocol = {
        "metric": "nll",
        "units": "nats an image" if model.likelihood == "bernoulli" else "nats an image, density of pixels in [0, 1]",
        "likelihood": model.likelihood,
        "binarized": binarized,
        "conditional": bool(model.num_classes),
        "images_count": len(images),
        "images_fingerprint": fingerprint_of(images)[:16],
        "samples": samples,
        "seed": seed,
        **protocol,
    }
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return [
        Score(
            "nll", float(values.mean()), protocol, "low", spread=error, spread_over=f"the mean of {len(values)} images"
        )
    ]


def latent_scores(model: VAE, images: np.ndarray, labels, protocol: dict) -> list[Score]:
    """How many latent dimensions a VAE uses; see `metrics.active_units`. Arguments as in `reconstruction_scores`."""
    mean, _ = model.encode(images, labels)
    units = latent_units.active_units(np.asarray(mean))
    protocol = {
        "metric": "active_units",
        "latent_dim": model.latent_dim,
        "images_count": len(images),
        "images_fingerprint": fingerprint_of(images)[:16],
        **protocol,
    }
    return [Score("active_units", float(units.count), protocol)]

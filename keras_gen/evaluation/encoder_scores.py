"""Scores of models that encode images: reconstruction errors, and for VAEs likelihood and active units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from keras_gen.data import preprocessing
from keras_gen.evaluation.measures import MEASURES
from keras_gen.evaluation.reference import Reference, fingerprint_of
from keras_gen.evaluation.samples import Sample
from keras_gen.evaluation.score import Score, score_name
from keras_gen.losses import LIKELIHOODS
from keras_gen.metrics import importance_sampling, latent_units, reconstruction
from keras_gen.models import sampling
from keras_gen.utils import image_utils, progress

if TYPE_CHECKING:
    from keras_gen.models import VAE, PretrainedModel
    from keras_gen.models.encoder_decoder import EncoderDecoder

REC_FID = "rec_fid"
"""Name of the measure of `reconstruction_distance`."""


def reconstruction_scores(
    model: EncoderDecoder | PretrainedModel, images: np.ndarray, labels, protocol: dict
) -> list[Score]:
    """Score a model's reconstructions by mean squared error, PSNR and SSIM; see `metrics.reconstruction`.

    A VAE reconstructs from the posterior mean. A denoiser gets the images without noise.

    Args:
        model: the model.
        images: uint8 array of shape `(n, H, W, C)`.
        labels: labels of the images if the model is conditional, else None.
        protocol: dict, protocol entries that identify the images.
    """
    errors = []
    with progress.task("errors of reconstructions", len(images)) as task:
        for originals, reconstructed in _reconstructions(model, images, labels):
            errors.append(reconstruction.image_errors(originals, reconstructed))
            task.advance(len(originals))
    error = reconstruction.mean_error(np.concatenate(errors))
    protocol = {"images_count": len(images), "images_fingerprint": fingerprint_of(images)[:16], **protocol}
    better = {"mse": "low", "psnr": "high", "ssim": "high"}
    return [
        Score(f"reconstruction_{name}", value, {"metric": f"reconstruction_{name}", **protocol}, better[name])
        for name, value in error._asdict().items()
    ]


def reconstruction_distance(
    model: EncoderDecoder | PretrainedModel, images: np.ndarray, labels, reference: Reference, inputs: dict
) -> list[Score]:
    """Return the Fréchet distance of a model's reconstructions, as uint8 images, to real images, as in `_fid`.

    Args:
        model, images, labels: as in `reconstruction_scores`.
        reference: `Reference` of the images or, if they were binarized dynamically, of the gray ones, since
            reconstructions are gray.
        inputs: dict, protocol entries that say how the images differ from those of the reference.
    """
    extractor = reference.extractor
    chunks = (image_utils.to_uint8(reconstructed) for _, reconstructed in _reconstructions(model, images, labels))
    sample = Sample(chunks, extractor, len(images), keep=False, label="reconstructions")
    [measured] = MEASURES["fid"].function(sample, reference, None, 0)
    protocol = {"metric": REC_FID, **reference.protocol, "generated": len(images), "batch_norm": "moving averages"}
    protocol |= inputs
    name = f"rec_{score_name('fid', extractor.name)}"
    # Without its bias, which is that of images drawn independently: here each one has its original in the reference.
    return [Score(name, float(measured.value), protocol, "low")]


def _reconstructions(model, images, labels):
    """Yield images and their reconstructions in [0, 1], a part of them at a time."""
    for start in range(0, len(images), sampling.CHUNK):
        rows = slice(start, start + sampling.CHUNK)
        yield images[rows], model.reconstruct_float(images[rows], None if labels is None else labels[rows])


def likelihood_scores(
    model: VAE,
    images: np.ndarray,
    labels,
    protocol: dict,
    *,
    count: int,
    samples: int,
    seed: int,
    binarizations: int = 1,
) -> list[Score]:
    """Estimate the negative log-likelihood per image in nats; see `metrics.importance_sampling`.

    A Bernoulli likelihood is defined for black and white images: gray images are binarized first, each pixel white with
    the probability of its gray level (stochastic, all `images` in order, with seeds 0, 1, …, over which the likelihoods
    are averaged). A Gaussian likelihood is a density of pixels in [0, 1], so its negative logarithm can be negative.

    Args:
        model: the VAE.
        images: uint8 array of shape `(n, H, W, C)`.
        labels: labels of the images if the model is conditional, else None.
        protocol: dict, protocol entries that identify the images.
        count: int, use the first `count` images, or all if there are fewer.
        samples: int, posterior samples per image.
        seed: int, seed of those samples.
        binarizations: int, number of binarizations; ignored for images that are not binarized here. Default 1.
    """
    is_discrete = LIKELIHOODS[model.likelihood].is_discrete
    is_binary = bool(np.isin(images, (0, 255)).all())
    variants, binarized = [images], "in the data" if is_binary else "no"
    if is_discrete and not is_binary:
        generators = map(np.random.default_rng, range(binarizations))
        variants = (preprocessing.binarize(images, "stochastic", generator) for generator in generators)
        binarized = "stochastic, seed 0" if binarizations == 1 else f"stochastic, seeds 0 to {binarizations - 1}"
    labels = None if labels is None else labels[:count]
    values, fingerprint = [], None
    for variant in variants:
        log_weights = model.log_importance_weights(variant[:count], samples, seed=seed, labels=labels)
        values.append(-importance_sampling.log_likelihood_bound(log_weights))
        fingerprint = fingerprint or fingerprint_of(variant[:count])[:16]
    values = np.mean(values, axis=0)
    protocol = {
        "metric": "nll",
        "units": "nats an image" if is_discrete else "nats an image, density of pixels in [0, 1]",
        "likelihood": model.likelihood,
        "binarized": binarized,
        "conditional": bool(model.num_classes),
        "images_count": len(values),
        "images_fingerprint": fingerprint,
        "samples": samples,
        "seed": seed,
        **protocol,
    }
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return [Score("nll", float(values.mean()), protocol, "low", error, f"standard error over {len(values):,} images")]


def latent_scores(model: VAE, images: np.ndarray, labels, protocol: dict) -> list[Score]:
    """Count the latent dimensions that a VAE uses; see `metrics.active_units`. Args as in `reconstruction_scores`."""
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

"""R2: a VAE and a GAN of fully connected layers on MNIST."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from keras_gen import report
from keras_gen.metrics.modes import ModeCoverage, mode_coverage
from keras_gen.models import sampling
from keras_gen.publishing.reports import exhibits
from keras_gen.publishing.reports.exhibits import Exhibits
from keras_gen.publishing.reports.experiments import Experiment, Trained
from keras_gen.publishing.reports.record import Table
from keras_gen.report.figures import interpolation
from keras_gen.runs.settings import RunSettings

TITLE = "VAE and GAN of fully connected layers on MNIST"

EPOCHS = (1, 10, 20, 30, 40)
"""Epochs after which the report shows images."""

CODES, NEIGHBORS, COUNTED, STEPS = 2000, 5, 10_000, 12
"""Encoded test images, neighbors of a code, classified generated images, steps of an interpolation."""


def experiments() -> list[Experiment]:
    """Return the trainings: the two models."""
    return [Experiment("vae", RunSettings("vae-mlp"), 50), Experiment("gan", RunSettings("gan-mlp"), 50)]


def show(trained: Mapping[str, Trained], shown: Exhibits) -> None:
    """Show the figures of the report."""
    vae, gan = trained["vae"], trained["gan"]
    data = shown.data(vae)
    pixels = math.prod(vae.model.image_shape)
    codes, labels = vae.model.encode(data.test.images[:CODES]), data.test.labels[:CODES]
    digits = _digits(gan)
    counts = digits.counts
    shown.values |= {
        "pixels": pixels,
        "bound": 0.5 * pixels * math.log(2 * math.pi),
        "lowest": min(row["val_loss"] for row in vae.history),
        "mistaken": _cross_entropy_of_standardized_pixels(vae, data.train.images, data.test.images[:CODES]),
        "first_mse": vae.history[0]["val_mse"],
        "last_mse": vae.history[-1]["val_mse"],
        "codes": len(codes),
        "neighbors": NEIGHBORS,
        "agreement": _agreement_of_neighbors(codes, labels),
        "gan_epochs": gan.history[-1]["epoch"],
        "latent_dim": codes.shape[1],
        "steps": STEPS,
        "counted": COUNTED,
        **{name: gan.history[-1][name] for name in ("d_loss_real", "d_loss_fake", "g_loss", "jsd")},
        "gan_entropy": digits.entropy,
        "even_entropy": math.log(digits.classes),
    }
    shown.tables["scores"] = exhibits.scores({"VAE": vae, "GAN": gan})
    shown.tables["digits"] = Table(
        [str(digit) for digit in range(len(counts))], [[f"{100 * count / counts.sum():.1f} %" for count in counts]]
    )
    for name, each in trained.items():
        shown.losses(f"{name}-losses", each)
        shown.generated(f"{name}-samples", each)
    shown.reconstructions_through_training("vae-through-training", vae, EPOCHS)
    shown.through_training("gan-through-training", gan, EPOCHS)
    shown.figure("vae-codes", report.embedding_figure(report.tsne(codes), labels, names=data.class_names))
    shown.figure("interpolation", report.interpolations([_interpolation("VAE", vae), _interpolation("GAN", gan)]))


def _cross_entropy_of_standardized_pixels(vae: Trained, train: np.ndarray, images: np.ndarray) -> float:
    """Return the cross-entropy of standardized pixels and their reconstructions, summed over pixels, in nats."""
    standardized = (images - train.mean()) / train.std()
    outputs = np.clip(vae.model.reconstruct(images) / 255, 1e-7, 1 - 1e-7)
    entropy = -(standardized * np.log(outputs) + (1 - standardized) * np.log(1 - outputs))
    return float(entropy.reshape(len(images), -1).sum(axis=1).mean())


def _agreement_of_neighbors(codes: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of codes whose label is the most frequent one of their nearest other codes."""
    from scipy import spatial, stats

    _, indices = spatial.cKDTree(codes).query(codes, NEIGHBORS + 1)
    return float((stats.mode(labels[indices[:, 1:]], axis=1).mode == labels).mean())


def _digits(trained: Trained) -> ModeCoverage:
    """Return how many generated images the classifier assigns to each class."""
    images = trained.model.generate(COUNTED, exhibits.SEED)["images"]
    return mode_coverage(exhibits.extractor(trained.extractor)(images).logits)


def _interpolation(name: str, trained: Trained) -> tuple[str, np.ndarray]:
    start, end = sampling.latents(2, trained.model.latent_shape[0], exhibits.SEED).numpy()
    return name, trained.model.decode(interpolation.linear_interpolation(start, end, STEPS))

"""R4: a VAE with two latents, an autoencoder, a denoiser and a DCGAN on MNIST."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from keras_gen import report
from keras_gen.publishing.reports import exhibits
from keras_gen.publishing.reports.exhibits import Exhibits
from keras_gen.publishing.reports.experiments import Experiment, Trained
from keras_gen.report.explorer import drawing
from keras_gen.report.figures import interpolation
from keras_gen.runs.settings import RunSettings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "VAE with two latents, autoencoders and DCGAN on MNIST"

SIDE, CODES, DENOISED = 20, 5000, 10
"""Images along a side of the latent plane, test images that are encoded, and test images that are denoised."""

EPOCHS = (1, 2, 5, 10, 20)
LOSSES = (0.0937, 0.1008)
"""Least and largest loss that can be read in the report's listing of the autoencoder's last epoch."""


def experiments() -> list[Experiment]:
    """Return the trainings: the four systems."""
    return [
        Experiment("vae", RunSettings("vae-2d"), 40),
        Experiment("autoencoder", RunSettings("ae-conv"), 60),
        Experiment("denoiser", RunSettings("dae-conv"), 60),
        Experiment("dcgan", RunSettings("dcgan"), 10),
    ]


def show(trained: Mapping[str, Trained], shown: Exhibits) -> None:
    """Show the figures and listings of the report."""
    vae, autoencoder, denoiser, dcgan = trained.values()
    data = shown.data(vae)
    codes = vae.model.encode(data.test.images[:CODES])
    level = float(denoiser.settings.arguments()["corruption_level"])
    shown.values |= {
        **{f"vae_{name}": vae.value(name) for name in ("loss", "reconstruction", "kl")},
        **{f"{name}_epochs": each.history[-1]["epoch"] for name, each in trained.items()},
        "beta": vae.settings.arguments()["beta"],
        "codes": len(codes),
        "side": SIDE,
        "lowest": LOSSES[0],
        "highest": LOSSES[1],
        "autoencoder_loss": autoencoder.value("loss"),
        "autoencoder_mse": autoencoder.value("mse"),
        "level": level,
        "noisy_mse": denoiser.value("corrupted_mse"),
        "denoised_mse": denoiser.value("mse"),
        "dcgan_updates": dcgan.history[-1]["g_updates"],
    }
    shown.losses("vae-losses", vae)
    shown.figure("vae-codes", report.scatter(codes, data.test.labels[:CODES], names=data.class_names))
    quantiles = interpolation.normal_quantiles(SIDE)
    images = vae.model.decode(interpolation.manifold(quantiles).reshape(-1, 2))
    shown.figure("vae-manifold", report.manifold(images.reshape(SIDE, SIDE, *images.shape[1:]), quantiles))
    shown.losses("autoencoder-losses", autoencoder)
    shown.reconstructed("autoencoder-reconstructions", autoencoder)
    shown.figure("denoised", _denoised(denoiser, data.test.images[:DENOISED], level))
    shown.tables["dcgan_scores"] = exhibits.scores({"DCGAN": dcgan})
    shown.through_training("dcgan-through-training", dcgan, EPOCHS)
    shown.generated("dcgan-samples", dcgan)


def _denoised(denoiser: Trained, images: np.ndarray, level: float) -> Figure:
    noisy = drawing.with_noise(images, level, exhibits.SEED)
    return report.denoising(noisy, denoiser.model.reconstruct(noisy), images)

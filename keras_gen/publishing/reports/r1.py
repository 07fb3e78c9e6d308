"""R1: VAE, GAN and WGAN with Keras on MNIST, with Fréchet distances of 128 images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_gen import zoo
from keras_gen.evaluation.score import score_name
from keras_gen.metrics.frechet import fid
from keras_gen.publishing.reports import exhibits
from keras_gen.publishing.reports.exhibits import Exhibits
from keras_gen.publishing.reports.experiments import Experiment, Trained
from keras_gen.publishing.reports.record import Table
from keras_gen.runs.settings import RunSettings
from keras_gen.utils.text import significant

TITLE = "VAE, GAN and Wasserstein GAN on MNIST"

HALF_BATCH, MAX_PAIRS = 128, 20
"""Images from which the report computed its Fréchet distances; maximum number of pairs of such sets of real images."""

CRITICS = {
    "wgan-short": "linear critic, gradient penalty",
    "wgan-unbounded": "linear critic, no constraint",
    "wgan-sigmoid": "critic with a sigmoid, no penalty",
    "wgan-sigmoid-penalty": "critic with a sigmoid, gradient penalty",
}
"""Trainings of Wasserstein GANs with equal numbers of updates, and what their critics are."""


def experiments() -> list[Experiment]:
    """Return the trainings: the three models, and critics that violate or replace the Lipschitz constraint."""
    zoo.load_recipes(Path(__file__).with_name("broken_wgans.py"))
    scored = {"fid_every": 10, "fid_images": 5000}
    return [
        Experiment("vae", RunSettings("vae-lstm", **scored), 20),
        Experiment("gan", RunSettings("gan-conv", **scored), 10),
        Experiment("wgan", RunSettings("wgan-conv", **scored), 10),
        Experiment("wgan-short", RunSettings("wgan-conv", epochs=2), 5),
        Experiment("wgan-unbounded", RunSettings("wgan-conv", {"constraint": "none"}, epochs=2), 5),
        Experiment("wgan-sigmoid", RunSettings("wgan-conv-sigmoid"), 5),
        Experiment("wgan-sigmoid-penalty", RunSettings("wgan-conv-sigmoid", {"gradient_penalty": 10.0}), 5),
    ]


def show(trained: Mapping[str, Trained], shown: Exhibits) -> None:
    """Show the figures and tables of the report."""
    models = {name: trained[name] for name in ("vae", "gan", "wgan")}
    vae, gan = trained["vae"], trained["gan"]
    networks = gan.settings.recipe.build(gan.model.image_shape, gan.settings.overrides)
    correlation, measured = exhibits.rank_correlation(vae, "val_loss", score_name("fid", vae.extractor))
    shown.values |= {
        "discriminator_weights": networks.discriminator.count_params(),
        "generator_weights": networks.generator.count_params(),
        "vae_epochs": vae.history[-1]["epoch"],
        "gan_epochs": gan.history[-1]["epoch"],
        "correlation": correlation,
        "measured": measured,
        "gan_correlation": exhibits.rank_correlation(gan, "val_g_loss", score_name("fid", gan.extractor))[0],
        "first_g_loss": gan.history[0]["g_loss"],
        "first_d_loss": gan.history[0]["d_loss"],
        **{name: vae.value(name) for name in ("loss", "reconstruction", "kl")},
        **{name: gan.history[-1][name] for name in ("d_loss", "g_loss")},
        **_distances_of_half_batches(vae, shown),
    }
    shown.tables["scores"] = exhibits.scores({name.upper(): each for name, each in models.items()})
    for name, loss in {"vae": "val_loss", "gan": "val_g_loss", "wgan": "val_emd"}.items():
        each = models[name]
        shown.losses(f"{name}-losses", each)
        shown.generated(f"{name}-samples", each)
        shown.tables[f"{name}_distances"] = exhibits.by_epoch(each, (loss, score_name("fid", each.extractor)))
    shown.tables["critics"] = _critics(trained)
    for name in CRITICS:
        shown.generated(f"{name}-samples", trained[name], 40)


def _distances_of_half_batches(vae: Trained, shown: Exhibits) -> dict[str, float | None]:
    """Return the Fréchet distance between half batches of real images, its spread, and that of many real images."""
    extractor, images = exhibits.extractor(vae.extractor), shown.data(vae).train.images
    pairs = min(MAX_PAIRS, len(images) // (2 * HALF_BATCH))
    batches = [extractor(batch).features for batch in np.split(images[: 2 * pairs * HALF_BATCH], 2 * pairs)]
    distances = [fid(*pair) for pair in zip(batches[::2], batches[1::2], strict=True)]
    floor = vae.score("fid").floor
    return {
        "half_batch": HALF_BATCH,
        "distance_of_real": float(np.mean(distances)),
        "its_deviation": float(np.std(distances, ddof=1)),
        "floor": floor,
    }


def _critics(trained: Mapping[str, Trained]) -> Table:
    header = ("critic", "generator updates", "emd", "emd of validation images", "Fréchet distance")
    rows = []
    for name, critic in CRITICS.items():
        last = trained[name].history[-1]
        values = (last["emd"], last["val_emd"], trained[name].distance)
        rows.append((critic, f"{last['g_updates']:,}", *map(significant, values)))
    return Table(header, rows)

"""R5: VAE, GAN and Wasserstein GAN with gradient penalty on MNIST and CIFAR-10, by latent size and epochs."""

from __future__ import annotations

from collections.abc import Mapping

from keras_gen.publishing.reports import exhibits
from keras_gen.publishing.reports.exhibits import Exhibits
from keras_gen.publishing.reports.experiments import Experiment, Trained
from keras_gen.runs.settings import RunSettings

TITLE = "VAE, GAN and WGAN-GP on MNIST and CIFAR-10"

RECIPES = {
    "mnist": {"vae": "vae-dense", "gan": "gan-jsd", "wgan": "wgan-gp"},
    "cifar10": {"vae": "vae-dense-cifar10", "gan": "gan-jsd-cifar10", "wgan": "wgan-gp-cifar10"},
}
STEPS = {"mnist": ((2, 20), (64, 20), (64, 100)), "cifar10": ((64, 20), (512, 20), (512, 100))}
"""Latent sizes and epochs, in the report's order."""

QUICK_EPOCHS = {20: 3, 100: 6}
CURVES = {"vae": ("kl", "mse", "loss"), "gan": ("jsd", "d_loss", "g_loss"), "wgan": ("emd", "critic_loss")}
"""Columns of the histories that the report draws, or should have."""

IMAGES = 40


def experiments() -> list[Experiment]:
    """Return the trainings: three models on two data sets, each with three pairs of latent size and epochs."""
    planned = []
    for data, recipes in RECIPES.items():
        for kind, recipe in recipes.items():
            for latent_dim, epochs in STEPS[data]:
                settings = RunSettings(recipe, {"latent_dim": latent_dim}, epochs=epochs)
                planned.append(Experiment(f"{data}-{kind}-{latent_dim}-{epochs}", settings, QUICK_EPOCHS[epochs]))
    return planned


def show(trained: Mapping[str, Trained], shown: Exhibits) -> None:
    """Show the figures of the report."""
    shown.values |= {"steps": STEPS, "distances_of": {}, "labels_of": {}, "change_of": {}}
    for data, recipes in RECIPES.items():
        for kind in recipes:
            stem = f"{data}-{kind}"
            steps = [trained[f"{stem}-{latent_dim}-{epochs}"] for latent_dim, epochs in STEPS[data]]
            _show(stem, dict(zip(STEPS[data], steps, strict=True)), CURVES[kind], shown)


def _show(stem: str, steps: Mapping[tuple[int, int], Trained], curves: tuple[str, ...], shown: Exhibits) -> None:
    labeled = {}
    for (latent_dim, epochs), each in steps.items():
        done = each.history[-1]["epoch"]
        counted = f"{epochs}" if done == epochs else f"{done} of {epochs}"
        labeled[f"{latent_dim} latents, {counted} epochs"] = each
    last = list(labeled.values())[-1]
    shown.values["distances_of"][stem] = [each.distance for each in labeled.values()]
    shown.values["labels_of"][stem] = list(labeled)
    shown.tables[f"{stem}-scores"] = exhibits.scores(labeled)
    columns = [f"{prefix}{column}" for column in curves for prefix in ("", "val_")]
    shown.tables[f"{stem}-last"] = exhibits.last_values(labeled, columns)
    shown.losses(f"{stem}-losses", last)
    for (latent_dim, epochs), each in steps.items():
        shown.generated(f"{stem}-{latent_dim}-{epochs}-samples", each, IMAGES)
    if "kl" in curves:
        shown.values["change_of"][stem] = _late_change(last)
    if "reconstruct" in last.model.functions:
        shown.reconstructed(f"{stem}-reconstructions", last)


def _late_change(vae: Trained) -> dict[str, float]:
    """Return the relative change of KL and squared error of validation images in the last two fifths of the epochs."""
    start = vae.history[3 * len(vae.history) // 5 - 1]
    end = vae.history[-1]
    return {name: abs(start[f"val_{name}"] / end[f"val_{name}"] - 1) for name in ("kl", "mse")}

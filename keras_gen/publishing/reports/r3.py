"""R3: VAE, least-squares GAN and Wasserstein GAN with a depth of 1 to 5, on MNIST."""

from __future__ import annotations

from collections.abc import Mapping

from keras_gen.publishing.reports import exhibits
from keras_gen.publishing.reports.exhibits import Exhibits
from keras_gen.publishing.reports.experiments import Experiment, Trained
from keras_gen.publishing.reports.record import Table
from keras_gen.runs.settings import RunSettings

TITLE = "VAE, GAN and Wasserstein GAN of depth 1 to 5 on MNIST"

DEPTHS = (1, 3, 5)
FACTORS = (0.1, 1.0, 4.0)
"""Factors of the KL term. The report does not name its own."""

RECIPES = {"vae": "vae-conv", "gan": "lsgan-conv", "wgan": "wgan-deep"}
IMAGES = 40


def experiments() -> list[Experiment]:
    """Return the trainings: three depths of three models, and two more factors of the KL term."""
    depths = [
        Experiment(f"{kind}-depth-{depth}", RunSettings(recipe, {"depth": depth}), 5)
        for kind, recipe in RECIPES.items()
        for depth in DEPTHS
    ]
    factors = [
        Experiment(f"vae-factor-{factor:g}", RunSettings("vae-conv", {"beta": factor}), 5)
        for factor in FACTORS
        if factor != 1
    ]
    return depths + factors


def show(trained: Mapping[str, Trained], shown: Exhibits) -> None:
    """Show what the report has, and what it leaves empty."""
    factors = {f"{factor:g}": trained[f"vae-factor-{factor:g}" if factor != 1 else "vae-depth-5"] for factor in FACTORS}
    first, *_, last = factors.values()
    shown.values |= {
        "factors": list(factors),
        "depths": DEPTHS,
        "first_mse": first.value("mse"),
        "last_mse": last.value("mse"),
        "first_kl": first.value("kl"),
        "last_kl": last.value("kl"),
        "best": {},
        "distance": {},
    }
    shown.tables["factors"] = Table(
        ("factor", "mean squared error", "KL, nats", "Fréchet distance", "coverage"),
        [
            (label, *(exhibits.cell(each.value(name)) for name in ("mse", "kl", "fid", "coverage")))
            for label, each in factors.items()
        ],
    )
    for label, each in factors.items():
        shown.reconstructed(f"vae-factor-{label}-reconstructions", each)
        shown.generated(f"vae-factor-{label}-samples", each, IMAGES)
    for kind in RECIPES:
        depths = {f"depth {depth}": trained[f"{kind}-depth-{depth}"] for depth in DEPTHS}
        shown.tables[f"{kind}_scores"] = exhibits.scores(depths)
        best = min(depths, key=lambda label: depths[label].distance)
        shown.values["best"][kind], shown.values["distance"][kind] = best, depths[best].distance
        for label, each in depths.items():
            shown.generated(f"{kind}-{label.replace(' ', '-')}-samples", each, IMAGES)

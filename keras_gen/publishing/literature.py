"""Published numbers that trained models are compared with, each with its protocol and source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ReferenceValue:
    """A number of the literature.

    Args:
        model: str, name of the published model that it is compared with.
        score: str, name of the model's score, or of its loss on test images.
        metric: str, the quantity, with its unit.
        value: str, the number as it was published.
        protocol: str, how it was measured, and on what model.
        source: str, where it stands.
        difference: str, what differs between the protocols; empty if nothing does that matters.
        ours: mapping, entries that the protocol of our score must have to be the same.
    """

    model: str
    score: str
    metric: str
    value: str
    protocol: str
    source: str
    difference: str = ""
    ours: Mapping[str, object] = field(default_factory=dict)


_IWAE = (
    "dynamic binarization, 5,000 importance samples, 10,000 test images; the same networks, 3,280 epochs of batch 20"
)
_IWAE_HERE = {"binarized": "stochastic, seeds 0 to 2", "samples": 5000, "images_count": 10_000}
_NBIP = "[nbip/IWAE](https://github.com/nbip/IWAE)"
_BURDA = "[Burda et al. 2016](https://arxiv.org/abs/1509.00519)"
_LUCIC = "[Lucic et al. 2018](https://arxiv.org/abs/1711.10337)"
_GHOSH = "[Ghosh et al. 2020](https://arxiv.org/abs/1903.12436)"
_FEATURES = "features: Inception there, a classifier of these data here"

REFERENCES = (
    ReferenceValue("vae-burda", "nll", "−log p(x), nats", "86.76", _IWAE, _BURDA, ours=_IWAE_HERE),
    ReferenceValue("vae-burda-k5", "nll", "−log p(x), nats", "85.54", _IWAE, _BURDA, ours=_IWAE_HERE),
    ReferenceValue("vae-burda-k50", "nll", "−log p(x), nats", "84.78", _IWAE, _BURDA, ours=_IWAE_HERE),
    ReferenceValue(
        "vae-burda-labels",
        "nll",
        "−log p(x given the label), nats",
        "82.32",
        "dynamic binarization, 5,000 importance samples, 10,000 test images",
        _NBIP,
        "100 latents and a prior that depends on the label there, 50 and N(0, I) here",
        ours=_IWAE_HERE,
    ),
    ReferenceValue(
        "ae-conv",
        "loss",
        "cross-entropy per pixel",
        "0.094",
        "test images, 50 epochs of batch 128",
        "[Keras blog](https://blog.keras.io/building-autoencoders-in-keras.html)",
        "its decoder works on 4, 8, 16 and 28 pixels, ours on 7, 14 and 28, with as many weights",
    ),
    ReferenceValue(
        "ae-conv",
        "fd_lenet",
        "Fréchet distance, autoencoder with a mixture of 10",
        "10.66",
        "FID of 10,000 images, larger networks, 16 latents",
        _GHOSH,
        _FEATURES,
    ),
    ReferenceValue(
        "gan-jsd",
        "fd_lenet",
        "Fréchet distance",
        "6.8 ± 0.5",
        "FID of 10,000, InfoGAN network, best of 100",
        _LUCIC,
        _FEATURES,
    ),
    ReferenceValue(
        "lsgan-conv",
        "fd_lenet",
        "Fréchet distance",
        "7.8 ± 0.6",
        "FID of 10,000, InfoGAN network, best of 100",
        _LUCIC,
        _FEATURES,
    ),
    ReferenceValue(
        "wgan-gp",
        "fd_lenet",
        "Fréchet distance",
        "20.3 ± 5.0",
        "FID of 10,000, InfoGAN network, best of 100",
        _LUCIC,
        _FEATURES,
    ),
    ReferenceValue(
        "wgan-gp-cifar10",
        "fd_cifar",
        "Fréchet distance",
        "40.2",
        "FID of 5,000 images to 10,000, standard CNN",
        "[Miyato et al. 2018](https://arxiv.org/abs/1802.05957)",
        _FEATURES,
    ),
    ReferenceValue(
        "sngan-cifar10",
        "fd_cifar",
        "Fréchet distance",
        "29.3",
        "FID of 5,000 images to 10,000, the same CNN, 100,000 updates",
        "[Miyato et al. 2018](https://arxiv.org/abs/1802.05957)",
        _FEATURES,
    ),
)
"""All of them. To add one, add an entry."""

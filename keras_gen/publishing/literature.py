"""Published numbers that trained models are compared with, each with its protocol and source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ReferenceValue:
    """A number of the literature.

    Args:
        model: str, name of the published model that it is compared with.
        score: str, name of the model's score, or of its loss on test images. `fid` needs the weights of Inception.
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
_INFOGAN = "networks of InfoGAN and the best of 100 settings there"
_COUNTS = "10,000 images, compared with all training images, here"
_GHOSH = "[Ghosh et al. 2020](https://arxiv.org/abs/1903.12436)"

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
        "20 epochs of batch 200 here; the decoder works on 4, 8, 16 and 28 pixels there, on 7, 14 and 28 here",
    ),
    ReferenceValue(
        "ae-conv",
        "fid",
        "FID, autoencoder with a mixture of 10",
        "10.66",
        "10,000 images",
        _GHOSH,
        "larger networks and 16 latents there",
    ),
    ReferenceValue("gan-jsd", "fid", "FID", "6.8 ± 0.5", "10,000 images", _LUCIC, _INFOGAN),
    ReferenceValue("lsgan-conv", "fid", "FID", "7.8 ± 0.6", "10,000 images", _LUCIC, _INFOGAN),
    ReferenceValue("wgan-gp", "fid", "FID", "20.3 ± 5.0", "10,000 images", _LUCIC, _INFOGAN),
    ReferenceValue(
        "wgan-gp-cifar10",
        "fid",
        "FID",
        "40.2",
        "5,000 images, compared with 10,000",
        "[Miyato et al. 2018](https://arxiv.org/abs/1802.05957)",
        _COUNTS,
    ),
    ReferenceValue(
        "sngan-cifar10",
        "fid",
        "FID",
        "29.3",
        "5,000 images, compared with 10,000; the same networks, 100,000 updates",
        "[Miyato et al. 2018](https://arxiv.org/abs/1802.05957)",
        _COUNTS,
    ),
)

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


_NBIP = "[nbip/IWAE](https://github.com/nbip/IWAE)"
_MEASURED = "dynamic binarization, 5,000 importance samples, 10,000 test images"
_MEASURED_HERE = {"binarized": "stochastic, seeds 0 to 2", "samples": 5000, "images_count": 10_000}
_LIKELIHOODS = {
    "vae-burda": (86.76, 86.35, 87.75),
    "vae-burda-k5": (85.54, 85.18, 85.46),
    "vae-burda-k50": (84.78, 84.59, 84.59),
}
_OF_LIKELIHOODS = (
    ("[Burda et al. 2016](https://arxiv.org/abs/1509.00519)", "3,280 epochs of batch 20"),
    (_NBIP, "3,280 epochs of batch 20"),
    ("[xqding/IWAE](https://github.com/xqding/Importance_Weighted_Autoencoders)", "10,000 epochs of batch 1,000"),
)
"""The paper and two reproductions, with the epochs of their trainings."""

_LUCIC = "[Lucic et al. 2018](https://arxiv.org/abs/1711.10337)"
_INFOGAN = "networks of InfoGAN and the best of 100 settings there"
_COUNTS = "other numbers of images here"
_GHOSH = "[Ghosh et al. 2020](https://arxiv.org/abs/1903.12436)"

REFERENCES = (
    *(
        ReferenceValue(
            model,
            "nll",
            "−log p(x), nats",
            str(value),
            f"{_MEASURED}; the same networks, {epochs}",
            source,
            ours=_MEASURED_HERE,
        )
        for model, values in _LIKELIHOODS.items()
        for value, (source, epochs) in zip(values, _OF_LIKELIHOODS, strict=True)
    ),
    ReferenceValue(
        "vae-burda-labels",
        "nll",
        "−log p(x given the label), nats",
        "82.32",
        _MEASURED,
        _NBIP,
        "100 latents and a prior that depends on the label there, 50 and N(0, I) here",
        ours=_MEASURED_HERE,
    ),
    ReferenceValue(
        "ae-conv",
        "loss",
        "cross-entropy per pixel",
        "0.094",
        "test images, 50 epochs of batch 128",
        "[Keras blog](https://blog.keras.io/building-autoencoders-in-keras.html)",
        "its decoder works on 4, 8, 16 and 28 pixels, ours on 7, 14 and 28",
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
        f"the standard CNN there, the networks of gan-jsd here; {_COUNTS}",
    ),
    ReferenceValue(
        "sngan-cifar10",
        "fid",
        "FID",
        "29.3",
        "5,000 images, compared with 10,000; 100,000 updates",
        "[Miyato et al. 2018](https://arxiv.org/abs/1802.05957)",
        f"twice as many filters, and other numbers of updates and learning rates there; {_COUNTS}",
    ),
)

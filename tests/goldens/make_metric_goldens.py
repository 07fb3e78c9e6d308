"""Write metric_goldens.json: what other implementations of the metrics give for features that anyone can make again.

    pip install torch torchmetrics torch-fidelity pytorch-fid prdc
    python tests/goldens/make_metric_goldens.py

The features are functions of a seed and are not stored; `tests/test_metric_goldens.py` makes them with this file's
`make_inputs` and compares keras_gen with the stored values, which needs none of those packages. The functions that take
features are called, not the commands, so that no network and no weights are involved; everything is in float64.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("metric_goldens.json")
PACKAGES = ("numpy", "scipy", "torch", "torchmetrics", "torch-fidelity", "pytorch-fid", "prdc")
SPLITS = 10
NEIGHBORS = 5


def make_inputs() -> dict[str, np.ndarray]:
    """float64 inputs by name: pairs of features `(n, D)`, and logits.

    `graded` features are at least 0 and correlated, with variances over four decades, as those of a network;
    `few` have fewer samples than dimensions.
    """
    rng = np.random.default_rng(20)
    mixing = rng.normal(size=(32, 32)) * np.logspace(0, -2, 32)
    return {
        "graded_real": np.maximum(rng.normal(size=(600, 32)) @ mixing + 0.5, 0.0),
        "graded_generated": np.maximum(rng.normal(size=(600, 32)) @ mixing * 0.8 + 0.7, 0.0),
        "few_real": rng.normal(size=(50, 64)),
        "few_generated": 1.3 * rng.normal(size=(50, 64)) + 0.2,
        "logits": 3.0 * rng.normal(size=(1003, 12)) + np.linspace(0.0, 2.0, 12),
    }


def frechet_distances(real: np.ndarray, generated: np.ndarray) -> dict[str, float]:
    """The Fréchet distance by three packages."""
    import torch
    from pytorch_fid.fid_score import calculate_frechet_distance
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
    from torchmetrics.image.fid import _compute_fid

    statistics = [fid_features_to_statistics(torch.from_numpy(features)) for features in (real, generated)]
    moments = [moment for each in statistics for moment in (each["mu"], each["sigma"])]
    return {
        "torch-fidelity": fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID],
        "torchmetrics": float(_compute_fid(*map(torch.from_numpy, moments))),
        "pytorch-fid": float(calculate_frechet_distance(*moments)),
    }


def kernel_distances(real: np.ndarray, generated: np.ndarray) -> dict[str, float]:
    """KID with all samples in one subset, which leaves nothing to chance."""
    import torch
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric
    from torchmetrics.image.kid import poly_mmd

    tensors = [torch.from_numpy(features) for features in (real, generated)]
    settings = {"kid_subsets": 1, "kid_subset_size": len(real), "verbose": False}
    return {
        "torch-fidelity": kid_features_to_metric(*tensors, **settings)[KEY_METRIC_KID_MEAN],
        "torchmetrics": float(poly_mmd(*tensors)),
    }


def inception_scores(logits: np.ndarray) -> dict[str, list[float]]:
    """Mean and standard deviation over splits that are not shuffled."""
    import torch
    from torch_fidelity.metric_isc import isc_features_to_metric

    found = isc_features_to_metric(torch.from_numpy(logits), splits=SPLITS, shuffle=False)
    return {"torch-fidelity": [found["inception_score_mean"], found["inception_score_std"]]}


def neighborhoods(real: np.ndarray, generated: np.ndarray) -> dict[str, dict[str, float]]:
    """Precision, recall, density and coverage."""
    from prdc import compute_prdc

    found = compute_prdc(real, generated, nearest_k=NEIGHBORS)
    return {"prdc": {name: float(value) for name, value in found.items()}}


def main() -> None:
    """Compute everything and write the file."""
    inputs = make_inputs()
    pairs = {name: (inputs[f"{name}_real"], inputs[f"{name}_generated"]) for name in ("graded", "few")}
    goldens = {
        "versions": {package: version(package) for package in PACKAGES},
        "sums": {name: float(np.abs(values).sum()) for name, values in inputs.items()},
        "fid": {name: frechet_distances(*pair) for name, pair in pairs.items()},
        "kid": {name: kernel_distances(*pair) for name, pair in pairs.items()},
        "inception_score": inception_scores(inputs["logits"]),
        "precision_recall": {name: neighborhoods(*pair) for name, pair in pairs.items()},
    }
    FILE.write_text(json.dumps(goldens, indent=2) + "\n")


if __name__ == "__main__":
    main()

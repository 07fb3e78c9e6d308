"""The Inception of 2015 in PyTorch, by torch-fidelity: what ours is compared with, in a `slow` test and for goldens.

As a program, in a process without TensorFlow, which PyTorch does not always stand: write to a folder `weights.pth`,
with random weights, `N.npz`, with features and logits of `SETS[N]`, and `fid.txt`, the FID of the first two sets.
"""

import sys
import tempfile
from pathlib import Path
from unittest import mock

import inception_helpers
import numpy as np
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric


def state_dict_shapes():
    """Return names and shapes of the tensors of the network, in order, but for counters of batches."""
    with mock.patch.object(FeatureExtractorInceptionV3, "load_state_dict"), mock.patch.object(torch, "load"):
        network = FeatureExtractorInceptionV3("", ["2048"], feature_extractor_weights_path="")
    return {name: list(each.shape) for name, each in network.state_dict().items() if "num_batches" not in name}


def save(path, weights):
    """Write weights in the format from before PyTorch 1.6, in which the published file is."""
    tensors = {name: torch.from_numpy(values) for name, values in weights.items()}
    torch.save(tensors, path, _use_new_zipfile_serialization=False)


def reference_extractor(weights):
    """Return a function from uint8 images to features and logits without bias, as arrays."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.pth")
        save(path, weights)
        network = FeatureExtractorInceptionV3("", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path))
    network.eval()

    def extract(images):
        with torch.no_grad():
            return [part.numpy() for part in network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))]

    return extract


def main(folder):
    """Write what the test compares."""
    weights, sets = inception_helpers.random_weights(), []
    save(folder / "weights.pth", weights)
    extract = reference_extractor(weights)
    for index, images in enumerate(map(inception_helpers.picture_set, inception_helpers.SETS)):
        features, logits = extract(images)
        np.savez(folder / f"{index}.npz", features=features, logits=logits)
        sets.append(fid_features_to_statistics(torch.from_numpy(features)))
    distance = fid_statistics_to_metric(*sets[:2], verbose=False)["frechet_inception_distance"]
    (folder / "fid.txt").write_text(repr(float(distance)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

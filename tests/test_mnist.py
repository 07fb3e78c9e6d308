"""Training on the real MNIST, and the sampler in the repository."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from keras_gen import data, zoo
from keras_gen.models import export

SAMPLER = Path(__file__).parent.parent / "saved_models" / "vae-mlp"


@pytest.fixture(scope="module")
def mnist(mnist_folder):
    return data.load("mnist", data_dir=mnist_folder)


@pytest.fixture(scope="module")
def classifier(mnist):
    """A classifier independent of the models: the 3 nearest of 10,000 training images; test accuracy 92 %."""
    images, labels = mnist.train.images[:10_000], mnist.train.labels[:10_000]
    return KNeighborsClassifier(3).fit(images.reshape(len(images), -1) / 255.0, labels)


def classify(classifier, images):
    """Return each image's digit and the share of the 3 neighbors that agree on it."""
    probabilities = classifier.predict_proba(np.asarray(images).reshape(len(images), -1) / 255.0)
    return probabilities.argmax(axis=1), probabilities.max(axis=1)


def test_the_classifier_is_accurate(mnist, classifier):
    digits, _ = classify(classifier, mnist.test.images[:1000])
    assert np.mean(digits == mnist.test.labels[:1000]) > 0.9


@pytest.mark.slow
def test_vae_mlp_learns_in_three_epochs(mnist, classifier):
    model = zoo.build("vae-mlp", seed=0)
    images = mnist.train.images
    history = model.fit(images, batch_size=64, epochs=3, verbose=0, validation_data=mnist.validation.images).history
    bound = 0.5 * 784 * math.log(2 * math.pi)
    # The loss of a model that always generates the mean image exceeds the bound by half the pixels' variance.
    mean_image = bound + 0.5 * np.sum(np.var(images / 255.0, axis=0))
    assert bound < history["val_loss"][-1] < mean_image - 4
    assert history["val_kl"][-1] > 4
    digits, agreement = classify(classifier, model.generate(500, seed=0)["images"])
    assert len(set(digits)) == 10
    assert agreement.mean() > 0.8


def test_the_sampler_in_the_repository_draws_all_digits(mnist, classifier):
    images = export.load(SAMPLER).generate(n=500, seed=0)["images"].numpy()
    assert images.shape == (500, 28, 28, 1)
    digits, agreement = classify(classifier, images)
    assert len(set(digits)) == 10
    assert agreement.mean() > 0.8
    description = json.loads((SAMPLER / export.DESCRIPTION_FILE).read_text())
    assert description["data"]["fingerprint"] == mnist.fingerprint


def test_the_sampler_is_small_and_repeats_itself():
    assert sum(file.stat().st_size for file in SAMPLER.rglob("*") if file.is_file()) < 1_500_000
    one, other, third = (export.load(SAMPLER).generate(n=20, seed=seed)["images"].numpy() for seed in (0, 0, 1))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, third)

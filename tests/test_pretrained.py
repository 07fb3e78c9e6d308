"""Trained models by name: loading, listing, and the same images and scores as the models that they were."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from model_helpers import CLASSES, SHAPE, make_gan, make_vae

import keras_gen
from keras_gen import UsageError, zoo
from keras_gen.evaluation import Reference, Scorer
from keras_gen.models import PretrainedModel, export

MODEL = Path(keras_gen.__file__).parents[1] / "saved_models" / "vae-mlp"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of trained models."""
    monkeypatch.setenv("KERAS_GEN_MODELS", str(tmp_path))
    return tmp_path


def test_a_trained_model_generates_by_its_name():
    model = zoo.load("vae-mlp")
    assert isinstance(model, PretrainedModel)
    assert (model.name, model.image_shape) == ("vae-mlp", (28, 28, 1))
    assert model.functions == ("generate", "decode", "encode", "reconstruct")
    images = model.generate(3, seed=5)
    np.testing.assert_array_equal(images["images"], export.generate(MODEL, 3, 5)["images"])
    assert isinstance(images["images_float"], np.ndarray)
    assert not np.array_equal(model.generate(3, seed=5, truncation=0.5)["images"], images["images"])


def test_a_folder_or_a_model_of_ones_own_is_loaded_too(folder):
    model = make_vae(num_classes=CLASSES)
    export.save(model, folder / "mine", half_precision=True, description={"recipe": "a-vae"})
    for name in ("mine", folder / "mine"):
        loaded = zoo.load(name)
        assert (loaded.name, loaded.num_classes, loaded.image_shape) == ("a-vae", CLASSES, SHAPE)
    generated, expected = loaded.generate(6, seed=1, labels=2), model.generate(6, seed=1, labels=2)
    assert generated["labels"].tolist() == [2] * 6
    np.testing.assert_allclose(generated["images_float"], expected["images_float"], atol=0.01)


def test_a_name_without_weights_says_where_they_belong(folder):
    with pytest.raises(UsageError) as caught:
        zoo.load("something else")
    expected = f"received: 'something else' (the weights of a model of that name belong in {folder / 'something else'})"
    assert str(caught.value).endswith(expected)
    with pytest.raises(UsageError, match="received: '.*/something else'$"):
        zoo.load(folder / "something else")


@pytest.mark.parametrize("name", [3, None, b"vae-mlp"])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(UsageError, match="^path must be a name or a path, received: "):
        zoo.load(name)


def test_a_name_that_resembles_one_is_suggested():
    with pytest.raises(UsageError, match=r"received: 'vae-mpl' \(the weights .*/vae-mpl\), did you mean 'vae-mlp'\?$"):
        zoo.load("vae-mpl")


def test_a_wrong_name_is_refused_before_tensorflow_is_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_gen.models.pretrained", None)
    with pytest.raises(UsageError, match="received: 'nothing'"):
        zoo.load("nothing")


def test_trained_models_are_listed_with_their_sizes_and_scores(folder):
    shutil.copytree(MODEL, folder / "measured")
    (folder / "measured" / "evaluation.json").write_text(json.dumps({"scores": [{"name": "fd_lenet", "value": 2}]}))
    for junk in ("no model", "junk/saved_model.pb"):  # folders
        (folder / junk).mkdir(parents=True)
    shutil.copytree(MODEL, folder / ".kept")
    models = {model.name: model for model in zoo.pretrained()}
    assert not {"no model", "junk", ".kept"} & models.keys()
    found = models["measured"]
    assert (found.path, found.scores) == (folder / "measured", {"fd_lenet": 2.0})
    assert found.size == sum(path.stat().st_size for path in found.path.rglob("*") if path.is_file())
    (folder / "measured" / "evaluation.json").write_text('{"scores": [1]}')
    with pytest.raises(UsageError, match=r"measured/evaluation.json is damaged"):
        zoo.pretrained()


def test_a_model_in_the_users_folder_takes_the_place_of_one_of_the_same_name(folder):
    export.save(make_vae(), folder / MODEL.name, description={"recipe": "their own"})
    loaded = zoo.load(MODEL.name)
    assert (loaded.name, loaded.image_shape) == ("their own", SHAPE)
    assert [model.path for model in zoo.pretrained() if model.name == MODEL.name] == [folder / MODEL.name]


def test_a_trained_model_is_scored_as_the_model_that_it_was(folder):
    model = make_gan(moving_average=0.9)
    export.save(model, folder / "gan", description={"arguments": {"moving_average": 0.9}})
    images = np.random.default_rng(0).integers(0, 256, (40, *SHAPE), np.uint8)
    scorer = Scorer(Reference(images, "lenet"), num_images=20)
    assert scorer.score(zoo.load("gan"), seed=3) == scorer.score(model, seed=3)


@pytest.mark.parametrize("convert", [np.asarray, tf.constant])
def test_images_that_are_floats_are_refused(folder, convert):
    export.save(make_vae(), folder / "vae")
    with pytest.raises(UsageError, match="^images must be uint8, received: 'float32'"):
        zoo.load("vae").reconstruct(convert(np.ones((2, *SHAPE), np.float32)))

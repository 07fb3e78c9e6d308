"""A SavedModel runs on other devices than it was made on, and can be compressed. (Its results: test_conformance.)"""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from model_helpers import images as random_images
from model_helpers import make_gan, make_vae

from keras_gen import UsageError, zoo
from keras_gen.models import export


def test_a_saved_model_made_where_there_is_a_gpu_runs_where_there_is_none(tmp_path, monkeypatch):
    """Keras believes that there is a GPU while the model is saved, so an LSTM would be traced as a cuDNN operation."""
    vae = zoo.build("vae-lstm", (8, 8, 1), units=4, latent_dim=2)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1), np.uint8)
    expected = vae.encode(images)[0]

    def traced_operations():
        graph = tf.function(lambda x: vae.encoder(x)).get_concrete_function(tf.TensorSpec((None, 8, 8, 1))).graph
        return {operation.type for operation in graph.get_operations()}

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["keras.src.backend.tensorflow.rnn"], "_is_gpu_available", lambda: True)
        assert "CudnnRNNV3" in traced_operations()
        export.save(vae, tmp_path / "saved")
        assert "CudnnRNNV3" in traced_operations()  # the model itself stays as it was
    loaded = export.load(tmp_path / "saved")
    np.testing.assert_allclose(loaded.encode(tf.constant(images))["mean"], expected, atol=1e-5)


def test_a_large_matrix_is_stored_as_a_product(tmp_path, monkeypatch):
    """The images are those of the model with its best approximation of that rank, here found by the eigenvalues."""
    model = make_gan()
    kernel = max((weight for weight in model.generator.weights if len(weight.shape) == 2), key=tf.size)
    monkeypatch.setattr(export, "LARGE", tf.size(kernel))
    export.save(model, tmp_path / "whole")
    export.save(model, tmp_path / "compressed", rank=2)
    _, vectors = np.linalg.eigh(kernel.numpy().T.astype(np.float64) @ kernel.numpy())
    kernel.assign(kernel.numpy() @ vectors[:, -2:] @ vectors[:, -2:].T)
    expected = model.generate(4, seed=1)["images_float"]
    compressed = export.generate(tmp_path / "compressed", 4, 1)["images_float"]
    np.testing.assert_allclose(compressed, expected, atol=1e-5)
    whole = export.generate(tmp_path / "whole", 4, 1)["images_float"]
    assert np.abs(whole - expected).max() > 1e-3
    sizes = [sum(f.stat().st_size for f in (tmp_path / n).glob("variables/*.data*")) for n in ("whole", "compressed")]
    saved = 4 * (int(tf.size(kernel)) - 2 * sum(kernel.shape))
    assert sizes[0] - sizes[1] == pytest.approx(saved, rel=0.2)  # the files also contain names
    assert export.description(tmp_path / "compressed")["rank"] == 2


def test_saving_writes_no_lines_of_tensorflow(tmp_path, monkeypatch):
    lines, level = [], tf.get_logger().level
    monkeypatch.setattr(tf.get_logger(), "handle", lambda record: lines.append(record.getMessage()))
    tf.get_logger().setLevel("INFO")
    try:
        export.save(make_gan(), tmp_path / "saved")
        assert (lines, tf.get_logger().level) == ([], 20)
    finally:
        tf.get_logger().setLevel(level)


def test_the_functions_of_an_export_are_a_list(tmp_path):
    with pytest.raises(UsageError, match="^functions must be a list of names, received: 'decode'$"):
        export.save(make_gan(), tmp_path / "saved", functions="decode")


def test_a_quantized_model_generates_with_its_new_weights():
    model = make_gan()
    before = np.asarray(model.generate(4)["images_float"])
    model.quantize("int8")
    after = np.asarray(model.generate(4)["images_float"])
    assert 0 < np.abs(after - before).max() < 0.1
    latents = tf.random.stateless_normal((4, model.latent_dim), [0, 0])
    np.testing.assert_allclose(after, model.decode(latents), atol=1e-6)


def test_an_export_of_predict_computes_in_the_precision_of_the_networks_whatever_the_global_policy():
    model = make_vae()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        found = export.Prediction(model)(random_images(3))
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(found, model.predict_step((tf.constant(random_images(3)),)))

"""A SavedModel runs on other devices than it was made on. (For its results, see test_conformance and test_sample.)"""

import sys

import numpy as np
import tensorflow as tf

from keras_gen import zoo
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

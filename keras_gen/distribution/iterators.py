"""What iterators of tf.data cost those who let go of them."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import tensorflow as tf


def without_tuner(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The dataset, of which TensorFlow is not to tune degrees of parallelism and sizes of buffers on the way.

    The tuner's thread sleeps for 10, 20, 40 … ms, up to a minute, and who lets go of an iterator waits for it: at the
    end of each validation, say. It is to be woken then, but (in TensorFlow 2.21 at least) can miss that.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)

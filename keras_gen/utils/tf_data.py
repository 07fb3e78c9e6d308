"""Settings of tf.data that all pipelines of the package have."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import tensorflow as tf

without_autograph = tf.autograph.experimental.do_not_convert
"""Decorator of functions that use only operations of TensorFlow: converting one takes 0.1 s or more."""


def without_tuner(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return `dataset` with tf.data autotuning disabled.

    The tuner's thread sleeps for 10, 20, 40 … ms, up to a minute, and the destruction of an iterator waits for it, for
    example at the end of each validation. It should be woken then, but (in TensorFlow 2.21 at least) can miss that.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)

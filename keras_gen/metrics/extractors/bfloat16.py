"""Run a single network in bfloat16 on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


def in_bfloat16(function) -> Callable[[np.ndarray], Sequence[np.ndarray]]:
    """Return a network that computes convolutions and matrix products in bfloat16 (8 bits of mantissa) with oneDNN.

    TensorFlow's graph rewriter decides per operation what stays float32; inputs and outputs keep their types. A
    separate session enables the rewriter for this network only: for `tf.function`s it is a process-wide option. It
    pays on CPUs with bfloat16 instructions and is slow on others.

    Args:
        function: concrete function of a `tf.function`, with one input tensor and one or more outputs.

    Returns:
        A callable that maps the input array to a list of output arrays.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

    from keras_gen.utils import keras_internals

    frozen = keras_internals.freeze(function)
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(frozen.graph.as_graph_def(), name="")
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = RewriterConfig.ON
    session = tf.compat.v1.Session(graph=graph, config=config)
    (images,) = (tensor.name for tensor in frozen.inputs)
    outputs = [tensor.name for tensor in frozen.outputs]
    return lambda batch: session.run(outputs, {images: batch})

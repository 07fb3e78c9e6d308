"""Running a network in bfloat16 on the CPU, without changing how anything else runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from keras_gen.utils import checks

PRECISIONS = ("float32", "bfloat16")


def check_precision(value: object) -> str:
    """`value` as one of `PRECISIONS`, or `UsageError`."""
    return checks.one_of("precision", value, PRECISIONS)


def in_bfloat16(function) -> Callable[[np.ndarray], Sequence[np.ndarray]]:
    """A network whose convolutions and matrix products are computed in bfloat16, 8 bits of mantissa, by oneDNN.

    TensorFlow's graph rewriter decides operation by operation what keeps float32; inputs and outputs stay what they
    are. It is asked for in a session of its own, since in today's functions it could only be switched on for the
    whole process. Worth it on CPUs that have bfloat16 instructions; on others it is slow.

    Args:
        function: a `tf.function`'s concrete function of one tensor, with one or more outputs.

    Returns:
        A callable from the input's array to the outputs' arrays, in order.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(function)
    graph = tf.Graph()
    with graph.as_default():
        tf.graph_util.import_graph_def(frozen.graph.as_graph_def(), name="")
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = RewriterConfig.ON
    session = tf.compat.v1.Session(graph=graph, config=config)
    (images,) = (tensor.name for tensor in frozen.inputs)
    outputs = [tensor.name for tensor in frozen.outputs]
    return lambda batch: session.run(outputs, {images: batch})

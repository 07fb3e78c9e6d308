"""Graphs of 2015, and random weights for the Inception of that year by the names that its port to PyTorch has."""

import json
from pathlib import Path

import numpy as np

EPSILON = 0.001
GOLDENS = Path(__file__).parent / "goldens"
SHAPES = GOLDENS / "inception_2015_port.json"
"""Names and shapes of the tensors in the port, in order, as torch-fidelity's network has them."""


SETS = ((28, 28), (64, 48), (350, 320))
"""Heights and widths of sets of 64 pictures."""


def random_weights():
    """Return weights with which activations keep their size from layer to layer."""
    generator, weights = np.random.default_rng(0), {}
    for name, shape in json.loads(SHAPES.read_text()).items():
        if name.endswith("conv.weight"):
            values = generator.standard_normal(shape, np.float32) * np.sqrt(2 / np.prod(shape[1:]))
        elif name.endswith(("bn.weight", "running_var")):
            values = generator.uniform(0.5, 1.5, shape)
        else:
            values = generator.normal(0, 0.02 if name == "fc.weight" else 0.1, shape)
        weights[name] = values.astype(np.float32)
    return weights


def picture_set(shape):
    """Return 64 pictures of one of the shapes of `SETS`."""
    return pictures(64, *shape, seed=SETS.index(shape))


def pictures(count, height, width, seed=0):
    """Return uint8 images of noise on a gradient."""
    generator = np.random.default_rng(seed)
    ramp = np.linspace(0, 150, width)[:, None] * generator.uniform(0, 1, (count, 1, 1, 3))
    return (ramp + generator.uniform(0, 100, (count, height, width, 3))).astype(np.uint8)


class GraphWriter:
    """Writer of a GraphDef of 2015: without a producer version, with a normalization that was removed later."""

    def __init__(self):
        import tensorflow as tf

        self.tf, self.graph = tf, tf.compat.v1.GraphDef()

    def node(self, name, op, *inputs, **attributes):
        node = self.graph.node.add(name=name, op=op, input=inputs)
        for key, value in attributes.items():
            if isinstance(value, list):
                node.attr[key].list.i.extend(value)
            elif isinstance(value, self.tf.DType):
                node.attr[key].type = value.as_datatype_enum
            else:
                value = value.encode() if isinstance(value, str) else value
                setattr(node.attr[key], {bool: "b", float: "f", int: "i", bytes: "s"}[type(value)], value)

    def constant(self, name, value):
        self.node(name, "Const", dtype=self.tf.as_dtype(np.asarray(value).dtype))
        self.graph.node[-1].attr["value"].tensor.CopyFrom(self.tf.make_tensor_proto(value))

    def preprocessing(self, source):
        """Resize images as TensorFlow 1 did, and scale them; the result is `Mul`."""
        real = self.tf.float32
        self.constant("ExpandDims/dim", np.int32(0))
        self.node("ExpandDims", "ExpandDims", source, "ExpandDims/dim", T=real)
        self.constant("ResizeBilinear/size", np.int32([299, 299]))
        self.node("ResizeBilinear", "ResizeBilinear", "ExpandDims", "ResizeBilinear/size", T=real, align_corners=False)
        self.constant("Sub/y", np.float32(128))
        self.node("Sub", "Sub", "ResizeBilinear", "Sub/y", T=real)
        self.constant("Mul/y", np.float32(1 / 128))
        self.node("Mul", "Mul", "Sub", "Mul/y", T=real)

    def layer(self, name, source, kernel, norm, stride, scale, padding="VALID"):
        real = self.tf.float32
        self.constant(f"{name}/conv2d_params", kernel)
        options = {"strides": [1, stride, stride, 1], "padding": padding}
        self.node(f"{name}/Conv2D", "Conv2D", source, f"{name}/conv2d_params", T=real, **options)
        for key, value in norm.items():
            self.constant(f"{name}/batchnorm/{key}", value)
        inputs = [f"{name}/batchnorm/{key}" for key in ("moving_mean", "moving_variance", "beta", "gamma")]
        options = {"variance_epsilon": EPSILON, "scale_after_normalization": scale}
        self.node(f"{name}/batchnorm", "BatchNormWithGlobalNormalization", f"{name}/Conv2D", *inputs, T=real, **options)
        self.node(f"{name}/CheckNumerics", "CheckNumerics", f"{name}/batchnorm", T=real, message="not finite")
        control = f"^{name}/CheckNumerics"
        self.node(f"{name}/control_dependency", "Identity", f"{name}/batchnorm", control, T=real)
        self.node(name, "Relu", f"{name}/control_dependency", T=real)

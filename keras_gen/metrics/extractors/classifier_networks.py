"""Networks of the two classifiers that ship with the package. `experiments/train_extractor.py` trains them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def lenet() -> keras.Model:
    """Build a LeNet-like network for 28 x 28 gray digits of ten classes (after LeCun et al. 1998).

    Returns:
        A model that maps float32 images `(n, 28, 28, 1)` in [0, 1] to `features`, the last hidden layer, `(n, 128)` and
        at least 0, and `logits`, `(n, 10)`.

    Example:
        >>> [tuple(output.shape) for output in lenet().outputs]
        [(None, 128), (None, 10)]
    """
    keras = _keras()
    images = x = keras.Input((28, 28, 1))
    x = _convolution(x, 16, kernel_size=3)
    x = _convolution(x, 32, kernel_size=5, strides=2)
    x = _convolution(x, 64, kernel_size=3, strides=2)
    x = _convolution(x, 64, kernel_size=3, strides=2)
    x = keras.layers.Flatten()(x)
    features = keras.layers.Dense(128, activation="relu", name="features")(x)
    return _classifier("lenet", images, features, dropout=0.3)


def cifar_resnet() -> keras.Model:
    """Build a small residual network for 32 x 32 color images of ten classes (after He et al. 2016, arXiv:1512.03385).

    Returns:
        A model that maps float32 images `(n, 32, 32, 3)` in [0, 1] to `features`, the average over the last 4 x 4
        positions, `(n, 128)` and at least 0, and `logits`, `(n, 10)`.

    Example:
        >>> [tuple(output.shape) for output in cifar_resnet().outputs]
        [(None, 128), (None, 10)]
    """
    keras = _keras()
    images = x = keras.Input((32, 32, 3))
    x = keras.layers.Rescaling(2.0, offset=-1.0)(x)
    x = _convolution(x, 32, kernel_size=3)
    x = _convolution(x, 64, kernel_size=3, strides=2)
    x = _residual_block(x, 64)
    x = _convolution(x, 96, kernel_size=3, strides=2)
    x = _residual_block(x, 96)
    x = _convolution(x, 128, kernel_size=3, strides=2)
    features = keras.layers.GlobalAveragePooling2D(name="features")(x)
    return _classifier("cifar", images, features, dropout=0.1)


def _classifier(name, images, features, *, dropout):
    keras = _keras()
    logits = keras.layers.Dense(10, name="logits")(keras.layers.Dropout(dropout)(features))
    return keras.Model(images, [features, logits], name=name)


def _convolution(x, filters, *, kernel_size, strides=1):
    keras = _keras()
    x = keras.layers.Conv2D(filters, kernel_size, strides, padding="same", use_bias=False)(x)
    x = keras.layers.BatchNormalization()(x)
    return keras.layers.ReLU()(x)


def _residual_block(x, filters):
    keras = _keras()
    residual = _convolution(x, filters, kernel_size=3)
    residual = _convolution(residual, filters, kernel_size=3)
    return keras.layers.Add()([x, residual])


def _keras():
    import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
    import keras

    return keras

"""Ensure that Keras runs on TensorFlow, with its standard configuration. Import this before Keras."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
from collections.abc import Iterator

from keras_gen.utils.errors import must_be
from keras_gen.utils.progress import print_line

STANDARD = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}
"""Keras' own defaults of what keras.json can change: other values give other networks and other training."""

_RETRACING = re.compile(
    r"calls to <(function TensorFlowTrainer\.|bound method GenerativeModel\.).*triggered tf\.function "
)
"""TensorFlow's warning of a Python loop that traces anew: it counts the models of a process, which trace once each."""


def _require_tensorflow() -> None:
    backend = os.environ.get("KERAS_BACKEND") or None
    keras = sys.modules.get("keras")
    if backend is None and keras is not None:
        backend = keras.backend.backend()
    if backend not in (None, "tensorflow"):
        raise must_be("KERAS_BACKEND", "tensorflow (keras_gen's train steps are written in TensorFlow)", backend)
    os.environ["KERAS_BACKEND"] = "tensorflow"  # takes precedence over keras.json
    # Let TensorFlow keep freed memory: mapping a gradient of 157 MB anew took a quarter of vae-lstm's step.
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")


def _set_standard() -> None:
    """Set what keras.json and the environment can change to Keras' own defaults, and print what was changed."""
    import keras

    config = keras.config
    changed = []
    # Before floatx is changed: the global policy is named after it unless the user has set another.
    if config.dtype_policy().name == config.floatx() != STANDARD["floatx"]:
        config.set_dtype_policy(STANDARD["floatx"])
    for name, value in STANDARD.items():
        if (configured := getattr(config, name)()) != value:
            getattr(config, f"set_{name}")(value)
            changed.append(f"{name} {value} instead of {configured}")
    for name in ("max_epochs", "max_steps_per_epoch"):  # of KERAS_MAX_EPOCHS and KERAS_MAX_STEPS_PER_EPOCH
        if (configured := getattr(config, name)()) is not None:
            getattr(config, f"set_{name}")(None)
            changed.append(f"no {name} instead of {configured}")
    if changed:
        print_line(f"NOTE: keras_gen sets Keras' configuration (keras.json, KERAS_*) to {', '.join(changed)}")


@contextlib.contextmanager
def channels_last() -> Iterator[None]:
    """Build layers for images `(height, width, channels)` in the block or decorated function, whatever the default."""
    import keras

    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)


_require_tensorflow()
_set_standard()
logging.getLogger("tensorflow").addFilter(lambda record: not _RETRACING.search(record.getMessage()))

"""Ensure that Keras runs on TensorFlow. Import this before Keras."""

from __future__ import annotations

import os
import sys

from keras_gen.utils.errors import must_be


def _require_tensorflow() -> None:
    backend = os.environ.get("KERAS_BACKEND") or None
    keras = sys.modules.get("keras")
    if backend is None and keras is not None:
        backend = keras.backend.backend()
    if backend not in (None, "tensorflow"):
        raise must_be("KERAS_BACKEND", "tensorflow (keras_gen's train steps are written in TensorFlow)", backend)
    os.environ["KERAS_BACKEND"] = "tensorflow"  # takes precedence over keras.json
    # Let TensorFlow keep freed memory: mapping a gradient of 157 MB anew in each step took a quarter of vae-lstm's time.
    os.environ.setdefault("TF_CPU_ALLOCATOR_USE_BFC", "1")


_require_tensorflow()

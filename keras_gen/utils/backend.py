"""Keras on TensorFlow, made sure of: the first import of every module that needs Keras."""

from __future__ import annotations

import os
import sys

from keras_gen.utils.errors import must_be


def _require_tensorflow() -> None:
    asked = os.environ.get("KERAS_BACKEND") or None
    loaded = sys.modules.get("keras")
    if asked is None and loaded is not None:
        asked = loaded.backend.backend()
    if asked not in (None, "tensorflow"):
        raise must_be("KERAS_BACKEND", "tensorflow (keras_gen's train steps are written in TensorFlow)", asked)
    os.environ["KERAS_BACKEND"] = "tensorflow"  # over a keras.json that says otherwise


_require_tensorflow()

"""What the processor that trains can do, without importing TensorFlow where that isn't needed."""

from __future__ import annotations

import functools
import os
from pathlib import Path

from keras_gen.utils.quiet import without_log_of_tensorflow

CPU_FLAGS = {"amx_bf16", "avx512_bf16"}
"""Instructions, as Linux names them, that multiply bfloat16 at twice the rate of float32 or more."""

COMPUTE_CAPABILITY = (8, 0)
"""The first version of NVIDIA's GPUs that multiplies bfloat16."""


@functools.cache
def is_fast_in_bfloat16() -> bool:
    """Return whether the GPUs, or without a GPU the processor, multiply bfloat16 at least twice as fast as float32.

    False where that can't be told: on other systems than Linux, and with TensorFlow's fast kernels turned off.
    """
    if _has_nvidia_driver():
        with without_log_of_tensorflow():
            import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
            import tensorflow as tf

        if gpus := tf.config.list_physical_devices("GPU"):
            details = map(tf.config.experimental.get_device_details, gpus)
            return all(each.get("compute_capability", (0, 0)) >= COMPUTE_CAPABILITY for each in details)
    has_fast_kernels = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "").lower() not in ("0", "false")
    return has_fast_kernels and not CPU_FLAGS.isdisjoint(_cpu_flags())


def _has_nvidia_driver() -> bool:
    return Path("/proc/driver/nvidia/version").exists()


def _cpu_flags() -> list[str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return []
    return next((line.partition(":")[2].split() for line in text.splitlines() if line.startswith("flags")), [])

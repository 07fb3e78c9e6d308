"""Decisions that all workers of a cluster take together during training."""

from __future__ import annotations

import time

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import tensorflow as tf

from keras_gen import distribution

PAUSE = 1.0
"""Approximate seconds between two exchanges; one exchange takes milliseconds."""


class Agreement:
    """Exchange of requests between workers: all of them learn after the same step whether any of them has one.

    A single process gets its own requests back after each step. Workers exchange theirs every few steps, and agree each
    time on the number of steps until the next exchange. All of them must call `of` after each step.

    Args:
        strategy: the tf.distribute strategy of the training.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy
        self._steps, self._steps_to_next = 0, 1
        self._last = time.monotonic()

    def of(self, *requests: bool, at_once: bool = False) -> tuple[bool, ...]:
        """Return for each request whether any worker has it; all False in a step without an exchange.

        Args:
            requests: bools, the requests of this worker.
            at_once: bool, whether to force an exchange after this step; must be equal on all workers. Defaults to
                False.
        """
        if not distribution.is_multi_worker(self._strategy):
            return requests
        self._steps += 1
        if not at_once and self._steps < self._steps_to_next:
            return (False,) * len(requests)
        now = time.monotonic()
        values = [1.0, (now - self._last) / self._steps, *requests]
        workers, seconds, *counts = distribution.sum_over_workers(self._strategy, values)
        self._steps_to_next = max(int(PAUSE * workers / max(seconds, 1e-6)), 1)
        self._steps, self._last = 0, now
        return tuple(count > 0 for count in counts)

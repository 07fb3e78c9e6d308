"""What the workers of a cluster decide together while they train."""

from __future__ import annotations

import time

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import tensorflow as tf

from keras_gen import distribution

PAUSE = 1.0
"""Seconds from one talk to the next, about: a talk takes milliseconds."""


class Agreement:
    """Whether any worker wishes something, known to all of them after the same step.

    A single process is told its own wishes at once. Workers talk every so many steps, and each time agree on how many
    it will be to the next time. All of them must call `of` after each step.

    Args:
        strategy: that training runs under.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy
        self._steps, self._steps_to_next = 0, 1
        self._last = time.monotonic()

    def of(self, *wishes: bool, at_once: bool = False) -> tuple[bool, ...]:
        """Which of these wishes any worker has; none, if it is not time to talk about them.

        Args:
            wishes: of this worker.
            at_once: whether to talk after this step in any case, as all workers must say.
        """
        if not distribution.is_multi_worker(self._strategy):
            return wishes
        self._steps += 1
        if not at_once and self._steps < self._steps_to_next:
            return (False,) * len(wishes)
        now = time.monotonic()
        said = [1.0, (now - self._last) / self._steps, *wishes]
        workers, seconds, *counts = distribution.sum_over_workers(self._strategy, said)
        self._steps_to_next = max(int(PAUSE * workers / max(seconds, 1e-6)), 1)
        self._steps, self._last = 0, now
        return tuple(count > 0 for count in counts)

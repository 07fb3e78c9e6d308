"""Agreement of workers during training, with a simulated cluster of two."""

import time
import types

import pytest
import tensorflow as tf

from keras_gen import distribution
from keras_gen.distribution.consensus import Agreement


@pytest.fixture
def cluster(monkeypatch):
    """Fake the clock and the other worker, whose values the test sets."""
    state = types.SimpleNamespace(now=0.0, others=[])

    def sum_over_workers(strategy, values):
        return [one + other for one, other in zip(values, state.others.pop(0), strict=True)]

    monkeypatch.setattr(time, "monotonic", lambda: state.now)
    monkeypatch.setattr(distribution, "is_multi_worker", lambda strategy: True)
    monkeypatch.setattr(distribution, "sum_over_workers", sum_over_workers)
    return state


def test_a_single_process_agrees_with_itself_after_each_step():
    agreement = Agreement(tf.distribute.get_strategy())
    assert agreement.of(True, False) == (True, False)
    assert agreement.of(False, True) == (False, True)


def test_workers_synchronize_about_once_a_second_and_at_the_end_of_an_epoch(cluster):
    agreement = Agreement(None)
    cluster.others = [[1, 0.3, 0], [1, 0.3, 1], [1, 0.3, 0]]
    cluster.now = 0.1
    assert agreement.of(False) == (False,)
    for _ in range(4):  # a step takes 0.2 s on average
        assert agreement.of(True) == (False,)
    cluster.now = 1.1
    assert agreement.of(False) == (True,)  # the other worker has the request
    assert agreement.of(True) == (False,)
    assert agreement.of(True, at_once=True) == (True,)

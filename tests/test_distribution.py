"""Strategies by name, and comparison of several replicas with one device, in processes with 2 and 4 CPU devices."""

import numpy as np
import pytest
import tensorflow as tf
from replica_helpers import EXACT, assert_trained_alike, results_of, start_program
from selection_helpers import selected

from keras_gen import UsageError, distribution
from keras_gen.distribution import strategies
from keras_gen.distribution.cluster import Cluster

GPUS = tf.config.list_logical_devices("GPU")

ROUNDED = ("bfloat16 gan", 21, "array")
SEEN_TWICE = ("averaged gan", 17, "array")
FAST = [("vae", 17, "unknown"), ("averaged gan", 21, "array")]


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.slow)], ids="{} replicas".format)
def comparison(request):
    """Results of the cases of all selected tests with a number of replicas."""
    cases = selected(request, "case")
    (results,) = results_of(start_program(request.param, ["none", "mirrored"], cases))
    return results | {"trained": dict(zip(cases, results["trained"], strict=True)), "replicas": request.param}


@pytest.mark.parametrize(
    "case", [case if case in FAST else pytest.param(case, marks=pytest.mark.slow) for case in EXACT], ids=str
)
def test_replicas_train_and_evaluate_as_one_device(comparison, case):
    kind, count, _ = case
    one, several = comparison["trained"][case]
    assert_trained_alike(one, several, comparison["replicas"], kind, count)


@pytest.mark.slow
@pytest.mark.parametrize("case", [ROUNDED], ids=str)
def test_in_bfloat16_they_differ_by_its_rounding(comparison, case):
    one, several = comparison["trained"][case]
    assert "error" not in several, several
    assert one["updates"] == several["updates"]
    assert one["moved"] > 1e-5
    for part in ("history", "evaluated"):
        assert several[part] == pytest.approx(one[part], rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("case", [SEEN_TWICE], ids=str)
def test_batch_normalization_sees_repeated_images_of_a_batch_smaller_than_replicas(comparison, case):
    one, several = comparison["trained"][case]
    assert one["updates"] == several["updates"]
    farthest = np.abs(np.subtract(several["weights"], one["weights"])).max()
    assert 1e-6 < farthest < 0.01
    assert several["history"] == pytest.approx(one["history"], rel=0.01)


@pytest.mark.parametrize("name", ["normal", "uniform"])
def test_the_replicas_noise_joined_is_that_of_one_device(comparison, name):
    noise = comparison["noise"][name]
    assert noise["joined"] == noise["whole"]
    assert len(np.unique(noise["joined"])) == 6 * comparison["replicas"]


def test_the_global_mean_is_of_all_replicas_and_a_constant(comparison):
    means, gradients = comparison["means"]
    # The first replica has rows (1, 5) and (3, 9); the others have these plus 10, 20, …
    replicas = comparison["replicas"]
    added = 5 * (replicas - 1)
    assert means == [[2 + added, 7 + added]] * replicas
    assert gradients == [[[0, 0], [0, 0]]] * replicas


def test_sharded_batches_are_refused_by_a_model_with_several_batches_per_step(comparison):
    expected = "x must be a tf.data.Dataset, since fit groups its batches into steps, received: 'sharded batches'"
    assert comparison["refused"] == expected


def test_cpu_devices_are_mirrored_only_on_request(comparison):
    assert comparison["names"]["mirrored"] == ["MirroredStrategy", comparison["replicas"]]
    assert comparison["names"]["none"][1] == comparison["names"]["auto"][1] == 1


# In this process


def test_none_is_the_default_strategy_of_one_device():
    assert distribution.strategy("none") is tf.distribute.get_strategy()
    assert distribution.strategy("none").num_replicas_in_sync == 1


def test_auto_uses_more_than_one_device_only_for_two_gpus():
    assert distribution.strategy().num_replicas_in_sync == max(1, len(GPUS))
    assert isinstance(distribution.strategy("auto"), tf.distribute.MirroredStrategy) == (len(GPUS) > 1)


def test_mirrored_is_a_mirrored_strategy_over_every_device():
    strategy = distribution.strategy("mirrored")
    assert isinstance(strategy, tf.distribute.MirroredStrategy)
    assert strategy.num_replicas_in_sync == len(GPUS or tf.config.list_logical_devices("CPU"))


@pytest.mark.parametrize("name", ["horovod", "Mirrored", "", None, 2], ids=repr)
def test_an_unknown_strategy_is_refused_with_the_known_ones(name):
    with pytest.raises(UsageError, match="^strategy must be one of auto, none, mirrored, multiworker, received: "):
        distribution.strategy(name)


def test_devices_that_cannot_be_set_up_are_a_usage_error(monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("no NCCL")

    monkeypatch.setattr(tf.distribute, "MirroredStrategy", fail)
    with pytest.raises(UsageError, match="^strategy mirrored can't be set up on .*CPU:0.*: no NCCL|GPU:0.*: no NCCL"):
        distribution.strategy("mirrored")


def test_gpu_memory_grows_on_demand_unless_already_initialized(monkeypatch):
    calls = []

    def set_memory_growth(gpu, enable):
        calls.append((gpu, enable))
        if gpu == "GPU:0":
            raise RuntimeError("Physical devices cannot be modified after being initialized")
        if gpu == "GPU:1":
            raise ValueError("Cannot set memory growth on device when virtual devices configured")

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"{kind}:{index}" for index in range(3)])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", set_memory_growth)
    distribution.strategy("none")
    assert calls == [(f"GPU:{index}", True) for index in range(3)]


def test_workers_use_the_gpus_they_see(monkeypatch):
    resolvers = []
    monkeypatch.setattr(strategies, "wait_for_workers", lambda cluster: None)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [f"{kind}:{index}" for index in range(2)])
    monkeypatch.setattr(
        tf.distribute, "MultiWorkerMirroredStrategy", lambda cluster_resolver: resolvers.append(cluster_resolver)
    )
    distribution.strategy("multiworker", Cluster(("a:1", "b:1"), 1))
    (resolver,) = resolvers
    assert resolver.num_accelerators()["GPU"] == 2
    assert (resolver.task_type, resolver.task_id) == ("worker", 1)


def test_the_scaled_loss_on_one_device_is_the_mean():
    assert float(distribution.scaled_loss(tf.constant([1.0, 2.0, 6.0]))) == 3.0


def test_the_global_mean_on_one_device_is_the_mean_over_examples_and_a_constant():
    values = tf.constant([[1.0, 5.0], [3.0, 9.0]])
    with tf.GradientTape() as tape:
        tape.watch(values)
        mean = distribution.global_mean(values)
    np.testing.assert_array_equal(mean, [2, 7])
    assert tape.gradient(mean, values) is None


@pytest.mark.parametrize("draw, mean, deviation", [(distribution.normal, 0, 1), (distribution.uniform, 0.5, 12**-0.5)])
def test_noise_has_its_distribution_and_depends_on_the_seed_alone(draw, mean, deviation):
    first = draw((20_000, 2), tf.constant([1, 2])).numpy()
    assert first.dtype == np.float32
    assert first.mean() == pytest.approx(mean, abs=0.03)
    assert first.std() == pytest.approx(deviation, abs=0.03)
    np.testing.assert_array_equal(draw((20_000, 2), tf.constant([1, 2])), first)
    assert np.mean(draw((20_000, 2), tf.constant([1, 3])) == first) < 0.01

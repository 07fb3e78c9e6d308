"""Strategies by name, and two replicas against one device (in a process of its own that has two CPU devices)."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from keras_gen import UsageError, distribution

GPUS = tf.config.list_logical_devices("GPU")

# Networks without dropout, whose noise Keras draws alike on every replica, and plain gradient descent.
COMPARISON = textwrap.dedent(
    """
    import json
    import tensorflow as tf

    devices = tf.config.list_physical_devices("CPU")
    tf.config.set_visible_devices([], "GPU")
    tf.config.set_logical_device_configuration(devices[0], [tf.config.LogicalDeviceConfiguration()] * 2)

    import keras
    import numpy as np
    from keras_gen import GAN, VAE, WGAN, UsageError, distribution, networks

    SHAPE = (8, 8, 1)

    def images(count):
        return np.random.default_rng(0).uniform(size=(count, *SHAPE)).astype("float32")

    def build(kind):
        keras.utils.set_random_seed(0)
        if kind == "vae":
            model = VAE(
                networks.mlp_encoder(SHAPE, latent_dim=3, hidden=(6,)),
                networks.mlp_decoder(SHAPE, latent_dim=3, hidden=(6,)),
            )
            model.compile(keras.optimizers.SGD(1e-3))
            return model
        pair = (
            networks.mlp_decoder(SHAPE, latent_dim=3, hidden=(6,)),
            networks.conv_discriminator(SHAPE, filters=(3,), dropout=0.0),
        )
        model = GAN(*pair, generator_batch_ratio=2) if kind == "gan" else WGAN(*pair, critic_steps=2)
        model.compile(keras.optimizers.SGD(0.02), keras.optimizers.SGD(0.01))
        return model

    def trained(strategy, kind, count, form):
        with distribution.strategy(strategy).scope():
            model = build(kind)
            start = [variable.numpy() for variable in model.trainable_variables]
            data, size = images(count), 4 if kind == "wgan" else 8
            try:
                if form == "array":
                    history = model.fit(data, batch_size=size, shuffle=False, verbose=0).history
                else:
                    history = model.fit(tf.data.Dataset.from_tensor_slices(data).batch(size), verbose=0).history
                evaluated = model.evaluate(data, batch_size=8, verbose=0, return_dict=True)
            except UsageError as error:
                return {"refused": str(error)}
            except Exception as error:
                return {"error": f"{type(error).__name__}: {error}"[:300]}
            weights = [variable.numpy() for variable in model.trainable_variables]
            return {
                "replicas": model.distribute_strategy.num_replicas_in_sync,
                "updates": model.updates,
                "history": {name: values[0] for name, values in history.items()},
                "evaluated": evaluated,
                "weights": np.concatenate([array.ravel() for array in weights]).tolist(),
                "moved": min(float(np.abs(a - b).max()) for a, b in zip(start, weights)) if kind != "wgan" else 1.0,
            }

    def joined_noise():
        strategy, seed = distribution.strategy("mirrored"), [3, 5]
        results = {}
        for name in ("normal", "uniform"):
            draw = getattr(distribution, name)
            parts = strategy.run(tf.function(lambda: draw((3, 2), tf.constant(seed))))
            joined = np.concatenate([part.numpy() for part in strategy.experimental_local_results(parts)])
            results[name] = {"joined": joined.tolist(), "whole": draw((6, 2), tf.constant(seed)).numpy().tolist()}
        return results

    def names():
        return {
            name: [type(distribution.strategy(name)).__name__, distribution.strategy(name).num_replicas_in_sync]
            for name in ("none", "auto", "mirrored")
        }

    cases = [("vae", 24, "dataset"), ("gan", 24, "array"), ("wgan", 24, "array")]
    cases += [("vae", 15, "array"), ("gan", 17, "array"), ("vae", 15, "dataset")]
    cases += [("gan", 17, "dataset"), ("gan", 1, "array")]
    results = {
        # One device gets the even number of images that two devices are to use.
        f"{kind} {count} {form}": [
            trained("none", kind, max(count // 2, 1) * 2, form),
            trained("mirrored", kind, count, form),
        ]
        for kind, count, form in cases
    }
    print(json.dumps({"trained": results, "noise": joined_noise(), "names": names()}))
    """
)


@pytest.fixture(scope="module")
def comparison():
    process = subprocess.run(
        [sys.executable, "-c", COMPARISON], capture_output=True, text=True, timeout=300, check=False
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return json.loads(process.stdout.splitlines()[-1])


def _assert_equal(one, two):
    assert (one["replicas"], two["replicas"]) == (1, 2)
    assert one["updates"] == two["updates"]
    assert one["moved"] > 1e-5
    np.testing.assert_allclose(two["weights"], one["weights"], rtol=0, atol=1e-6)
    for part in ("history", "evaluated"):
        assert one[part]
        assert two[part] == pytest.approx(one[part], rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("case", ["vae 24 dataset", "gan 24 array", "wgan 24 array"])
def test_two_replicas_train_and_evaluate_as_one_device(comparison, case):
    one, two = comparison["trained"][case]
    _assert_equal(one, two)
    assert set(one["updates"].values()) <= {3, 6}


@pytest.mark.parametrize("case", ["vae 15 array", "gan 17 array", "vae 15 dataset"])
def test_two_replicas_leave_out_the_image_that_they_cannot_share(comparison, case):
    _assert_equal(*comparison["trained"][case])


def test_two_replicas_share_a_last_batch_of_one_image(comparison):
    _, two = comparison["trained"]["gan 17 dataset"]
    assert "error" not in two, two
    assert two["updates"] == {"d_updates": 3, "g_updates": 3}
    assert np.isfinite(two["weights"]).all()
    assert all(np.isfinite(value) for value in two["history"].values())


def test_two_replicas_refuse_a_single_image(comparison):
    _, two = comparison["trained"]["gan 1 array"]
    assert two["refused"] == "x must be at least 2 images, one for each device, received: 1"


@pytest.mark.parametrize("name", ["normal", "uniform"])
def test_the_replicas_noise_joined_is_that_of_one_device(comparison, name):
    noise = comparison["noise"][name]
    assert noise["joined"] == noise["whole"]
    assert len(np.unique(noise["joined"])) == 12


def test_two_cpu_devices_are_mirrored_only_when_asked_for(comparison):
    assert comparison["names"]["mirrored"] == ["MirroredStrategy", 2]
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
    with pytest.raises(UsageError, match="^strategy must be one of auto, none, mirrored, received: "):
        distribution.strategy(name)


def test_devices_that_cannot_be_set_up_are_a_usage_error(monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("no NCCL")

    monkeypatch.setattr(tf.distribute, "MirroredStrategy", fail)
    with pytest.raises(UsageError, match="^strategy mirrored can't be set up on .*CPU:0.*: no NCCL|GPU:0.*: no NCCL"):
        distribution.strategy("mirrored")


def test_the_mean_over_the_global_batch_on_one_device_is_the_mean():
    assert float(distribution.mean_over_global_batch(tf.constant([1.0, 2.0, 6.0]))) == 3.0


@pytest.mark.parametrize("draw, mean, deviation", [(distribution.normal, 0, 1), (distribution.uniform, 0.5, 12**-0.5)])
def test_noise_has_its_distribution_and_depends_on_the_seed_alone(draw, mean, deviation):
    first = draw((20_000, 2), tf.constant([1, 2])).numpy()
    assert first.dtype == np.float32
    assert first.mean() == pytest.approx(mean, abs=0.03)
    assert first.std() == pytest.approx(deviation, abs=0.03)
    np.testing.assert_array_equal(draw((20_000, 2), tf.constant([1, 2])), first)
    assert np.mean(draw((20_000, 2), tf.constant([1, 3])) == first) < 0.01

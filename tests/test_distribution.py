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
    from keras_gen import GAN, VAE, WGAN, Autoencoder, UsageError, distribution, networks

    SHAPE = (8, 8, 1)

    def images(count):
        # The first half of every batch of 8 is dark: what replicas compute alone differs from what they do together.
        brightness = np.where(np.arange(count) % 8 < 4, 0.05, 1.0).reshape(count, 1, 1, 1)
        return (brightness * np.random.default_rng(0).uniform(size=(count, *SHAPE))).astype("float32")

    def labels(count):
        return np.random.default_rng(1).integers(0, 4, count)

    def vae(num_classes=0, **arguments):
        encoder = networks.mlp_encoder(SHAPE, latent_dim=3, hidden=(6,), num_classes=num_classes)
        decoder = networks.mlp_decoder(SHAPE, latent_dim=3, hidden=(6,), num_classes=num_classes)
        return VAE(encoder, decoder, **arguments)

    def pair(num_classes=0):
        return (
            networks.mlp_decoder(SHAPE, latent_dim=3, hidden=(6,), num_classes=num_classes),
            networks.conv_discriminator(SHAPE, filters=(3,), dropout=0.0, num_classes=num_classes),
        )

    def normalised_pair():
        generator = networks.deep_conv_generator(SHAPE, latent_dim=3, filters=(4,), kernel_size=3)
        return generator, networks.conv_discriminator(SHAPE, filters=(3,), dropout=0.0)

    def denoiser():
        encoder, decoder = networks.pooling_encoder(SHAPE, filters=(3,)), networks.resizing_decoder(SHAPE, filters=(3,))
        return Autoencoder(encoder, decoder, corruption="masking", corruption_level=0.4)

    MODELS = {
        "vae": vae,
        "gaussian vae": lambda: vae(likelihood="gaussian", learn_scale=True),
        "conditional vae": lambda: vae(num_classes=4, free_bits=0.04, beta=50.0),
        "denoiser": denoiser,
        "gan": lambda: GAN(*pair(), generator_batch_ratio=2),
        "averaged gan": lambda: GAN(*normalised_pair(), moving_average=0.25),
        "conditional gan": lambda: GAN(*pair(4), generator_batch_ratio=2, moving_average=0.9),
        "wgan": lambda: WGAN(*pair(), critic_steps=2),
        "clipped wgan": lambda: WGAN(
            *normalised_pair(), critic_steps=2, gradient_penalty=0.0, weight_clip=0.05, moving_average=0.25
        ),
        "conditional wgan": lambda: WGAN(*pair(4), critic_steps=2),
    }

    def build(kind):
        keras.utils.set_random_seed(0)
        model = MODELS[kind]()
        rates = {"denoiser": [1.0], "wgan": [0.02, 0.01], "gan": [0.02, 0.01]}.get(kind.split()[-1], [1e-3])
        model.compile(*(keras.optimizers.SGD(rate) for rate in rates))
        return model

    def farthest(some, others):
        return max(float(np.abs(a - b).max()) for a, b in zip(some, others))

    def trained(strategy, kind, count, form):
        with distribution.strategy(strategy).scope():
            model = build(kind)
            start = [variable.numpy() for variable in model.trainable_variables]
            data, size = (images(count), labels(count)), 4 if kind.endswith("wgan") else 8
            try:
                if form == "array":
                    history = model.fit(*data, batch_size=size, shuffle=False, verbose=0).history
                else:
                    history = model.fit(tf.data.Dataset.from_tensor_slices(data).batch(size), verbose=0).history
                evaluated = model.evaluate(*data, batch_size=8, verbose=0, return_dict=True)
            except UsageError as error:
                return {"refused": str(error)}
            except Exception as error:
                return {"error": f"{type(error).__name__}: {error}"[:300]}
            trained = [variable.numpy() for variable in model.trainable_variables]
            average, generator = getattr(model, "generator_average", None), getattr(model, "generator", None)
            everything = [variable.numpy() for variable in model.weights]
            # A critic's last offset cancels out of its loss, as does one before a batch normalisation.
            must_move = [array.ndim > 1 or kind in ("vae", "gan") for array in start]
            return {
                "replicas": model.distribute_strategy.num_replicas_in_sync,
                "updates": model.updates,
                "history": {name: values[0] for name, values in history.items()},
                "evaluated": evaluated,
                "weights": np.concatenate([array.ravel() for array in everything]).tolist(),
                "moved": min(float(np.abs(a - b).max()) for a, b, must in zip(start, trained, must_move) if must),
                "average lags": average is not None and farthest(average.get_weights(), generator.get_weights()) > 1e-5,
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

    def joined_means():
        strategy = distribution.strategy("mirrored")

        def mean():
            first = 10.0 * tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.float32)
            values = first + tf.constant([[1.0, 5.0], [3.0, 9.0]])
            with tf.GradientTape() as tape:
                tape.watch(values)
                result = distribution.mean_of_global_batch(values)
            return result, tape.gradient(result, values, unconnected_gradients="zero")

        means, gradients = strategy.run(tf.function(mean))
        return [[part.numpy().tolist() for part in strategy.experimental_local_results(x)] for x in (means, gradients)]

    def names():
        return {
            name: [type(distribution.strategy(name)).__name__, distribution.strategy(name).num_replicas_in_sync]
            for name in ("none", "auto", "mirrored")
        }

    cases = [("vae", 24, "dataset"), ("gan", 24, "array"), ("wgan", 24, "array")]
    cases += [("vae", 15, "array"), ("gan", 17, "array"), ("vae", 15, "dataset")]
    cases += [("gan", 17, "dataset"), ("gan", 1, "array")]
    cases += [("gaussian vae", 24, "array"), ("conditional vae", 24, "dataset"), ("conditional vae", 17, "array")]
    cases += [("denoiser", 24, "array"), ("averaged gan", 24, "array"), ("conditional gan", 24, "dataset")]
    cases += [("clipped wgan", 24, "array"), ("conditional wgan", 24, "dataset")]
    results = {
        # One device gets the even number of images that two devices are to use.
        f"{kind} {count} {form}": [
            trained("none", kind, max(count // 2, 1) * 2, form),
            trained("mirrored", kind, count, form),
        ]
        for kind, count, form in cases
    }
    joined = {"noise": joined_noise(), "means": joined_means()}
    print(json.dumps({"trained": results, "names": names()} | joined))
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
    assert "error" not in two, two
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


NEW_CASES = [
    "gaussian vae 24 array",
    "conditional vae 24 dataset",
    "conditional vae 17 array",
    "denoiser 24 array",
    "averaged gan 24 array",
    "conditional gan 24 dataset",
    "clipped wgan 24 array",
    "conditional wgan 24 dataset",
]


@pytest.mark.parametrize("case", NEW_CASES)
def test_two_replicas_train_the_other_models_as_one_device(comparison, case):
    one, two = comparison["trained"][case]
    _assert_equal(one, two)
    has_average = case.split()[0] in ("averaged", "clipped") or case.startswith("conditional gan")
    assert one["average lags"] == two["average lags"] == has_average
    if case.startswith("conditional vae"):  # the floor is at work, in some dimension
        for part in ("history", "evaluated"):
            values = two[part]
            assert values["loss"] - values["reconstruction"] - 50 * values["kl"] > 0.01
    if case.startswith("gaussian"):
        assert abs(two["history"]["scale"] - 1) > 1e-3


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


def test_the_mean_of_the_global_batch_is_of_all_replicas_and_a_constant(comparison):
    means, gradients = comparison["means"]
    # Of rows (1, 5), (3, 9) on one replica, and of these and 10 on the other.
    assert means == [[7, 12]] * 2
    assert gradients == [[[0, 0], [0, 0]]] * 2


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
    with pytest.raises(UsageError, match="^strategy must be one of auto, none, mirrored, multiworker, received: "):
        distribution.strategy(name)


def test_devices_that_cannot_be_set_up_are_a_usage_error(monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("no NCCL")

    monkeypatch.setattr(tf.distribute, "MirroredStrategy", fail)
    with pytest.raises(UsageError, match="^strategy mirrored can't be set up on .*CPU:0.*: no NCCL|GPU:0.*: no NCCL"):
        distribution.strategy("mirrored")


def test_the_mean_over_the_global_batch_on_one_device_is_the_mean():
    assert float(distribution.mean_over_global_batch(tf.constant([1.0, 2.0, 6.0]))) == 3.0


def test_the_mean_of_the_global_batch_on_one_device_is_the_mean_over_examples_and_a_constant():
    values = tf.constant([[1.0, 5.0], [3.0, 9.0]])
    with tf.GradientTape() as tape:
        tape.watch(values)
        mean = distribution.mean_of_global_batch(values)
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

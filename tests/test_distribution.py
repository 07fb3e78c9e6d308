"""Strategies by name, and several replicas against one device (in processes that have two and four CPU devices)."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from keras_gen import UsageError, distribution

GPUS = tf.config.list_logical_devices("GPU")

# With plain gradient descent.
COMPARISON = textwrap.dedent(
    """
    import json
    import sys
    import tensorflow as tf

    REPLICAS = int(sys.argv[1])
    devices = tf.config.list_physical_devices("CPU")
    tf.config.set_visible_devices([], "GPU")
    tf.config.set_logical_device_configuration(devices[0], [tf.config.LogicalDeviceConfiguration()] * REPLICAS)

    import keras
    import numpy as np
    from keras_gen import GAN, VAE, WGAN, Autoencoder, UsageError, data, distribution, networks

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

    def pair(num_classes=0, dropout=0.0):
        return (
            networks.mlp_decoder(SHAPE, latent_dim=3, hidden=(6,), num_classes=num_classes),
            networks.conv_discriminator(SHAPE, filters=(3,), dropout=dropout, num_classes=num_classes),
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
        "dropped-out gan": lambda: GAN(*pair(dropout=0.4), generator_batch_ratio=2),
        "several steps a call vae": vae,
        "bfloat16 gan": lambda: GAN(*pair(dropout=0.4)),
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
        keras.config.set_dtype_policy("mixed_bfloat16" if kind.startswith("bfloat16") else "float32")
        model = MODELS[kind]()
        rates = {"denoiser": [1.0], "wgan": [0.02, 0.01], "gan": [0.02, 0.01]}.get(kind.split()[-1], [1e-3])
        together = 4 if kind.startswith("several") else 1
        model.compile(*(keras.optimizers.SGD(rate) for rate in rates), steps_per_execution=together)
        return model

    def farthest(some, others):
        return max(float(np.abs(a - b).max()) for a, b in zip(some, others))

    def trained(strategy, kind, count, form):
        with distribution.strategy(strategy).scope():
            model = build(kind)
            start = [variable.numpy() for variable in model.trainable_variables]
            arrays, size = (images(count), labels(count)), 6 if kind.endswith("wgan") else 8
            try:
                dataset = tf.data.Dataset.from_tensor_slices(arrays).batch(size)
                if form == "array":
                    options = {"batch_size": size, "validation_batch_size": size, "shuffle": False}
                    history = model.fit(*arrays, validation_data=arrays, **options, verbose=0).history
                else:
                    history = model.fit(dataset, validation_data=dataset, verbose=0).history
                batches = int(model._evaluation_batches.numpy())
                evaluated = model.evaluate(*arrays, batch_size=8, verbose=0, return_dict=True)
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
                "validated": batches,
                "evaluated batches": int(model._evaluation_batches.numpy()),
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
            whole = draw((3 * REPLICAS, 2), tf.constant(seed))
            results[name] = {"joined": joined.tolist(), "whole": whole.numpy().tolist()}
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

    def refused():
        strategy = distribution.strategy("mirrored")
        with strategy.scope():
            model = build("wgan")
        pictures = np.zeros((24, *SHAPE), np.uint8)
        try:
            model.fit(data.batches(pictures, batch_size=8, seed=0, strategy=strategy).dataset, verbose=0)
        except UsageError as error:
            return str(error)

    names_of_strategies = names()
    cases = json.loads(sys.argv[2])
    results = {
        f"{kind} {count} {form}": [trained("none", kind, count, form), trained("mirrored", kind, count, form)]
        for kind, count, form in cases
    }
    joined = {"noise": joined_noise(), "means": joined_means()}
    print(json.dumps({"trained": results, "names": names_of_strategies, "refused": refused()} | joined))
    """
)
# Most with a last batch that replicas can't share equally, or of which there is not one image for each.
EXACT = [
    ("vae", 17, "dataset"),
    ("gaussian vae", 15, "array"),
    ("conditional vae", 17, "dataset"),
    ("denoiser", 19, "dataset"),
    ("gan", 24, "dataset"),
    ("gan", 1, "array"),
    ("averaged gan", 21, "array"),
    ("conditional gan", 21, "array"),
    ("dropped-out gan", 15, "dataset"),
    ("several steps a call vae", 23, "array"),
    ("wgan", 21, "dataset"),
    ("clipped wgan", 21, "array"),
    ("conditional wgan", 13, "array"),
]
ROUNDED = ("bfloat16 gan", 21, "array")
SEEN_TWICE = ("averaged gan", 17, "array")


@pytest.fixture(scope="module", params=[pytest.param(2, marks=pytest.mark.slow), 4], ids="{} replicas".format)
def comparison(request):
    process = subprocess.run(
        [sys.executable, "-c", COMPARISON, str(request.param), json.dumps([*EXACT, ROUNDED, SEEN_TWICE])],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return json.loads(process.stdout.splitlines()[-1]) | {"replicas": request.param}


@pytest.mark.parametrize("kind, count, form", EXACT)
def test_replicas_train_and_evaluate_as_one_device(comparison, kind, count, form):
    one, several = comparison["trained"][f"{kind} {count} {form}"]
    assert "error" not in several, several
    assert (one["replicas"], several["replicas"]) == (1, comparison["replicas"])
    for name in ("updates", "validated", "evaluated batches"):
        assert one[name] == several[name], name
    assert one["evaluated batches"] == -(-count // 8)
    assert one["moved"] > 1e-5
    np.testing.assert_allclose(several["weights"], one["weights"], rtol=0, atol=1e-6)
    for part in ("history", "evaluated"):
        assert one[part]
        assert several[part] == pytest.approx(one[part], rel=1e-5, abs=1e-5)
    has_average = kind in ("averaged gan", "clipped wgan", "conditional gan")
    if count > 1:
        assert one["average lags"] == several["average lags"] == has_average
    if kind == "conditional vae":  # the floor is at work, in some dimension
        for values in (several["history"], several["evaluated"]):
            assert values["loss"] - values["reconstruction"] - 50 * values["kl"] > 0.01
    if kind == "gaussian vae":
        assert abs(several["history"]["scale"] - 1) > 1e-3


def test_in_bfloat16_they_differ_by_its_rounding(comparison):
    one, several = comparison["trained"]["{} {} {}".format(*ROUNDED)]
    assert "error" not in several, several
    assert one["updates"] == several["updates"]
    assert one["moved"] > 1e-5
    for part in ("history", "evaluated"):
        assert several[part] == pytest.approx(one[part], rel=0.01)


def test_batch_normalisation_looks_twice_at_images_of_a_batch_with_fewer_than_replicas(comparison):
    one, several = comparison["trained"]["{} {} {}".format(*SEEN_TWICE)]
    assert one["updates"] == several["updates"]
    farthest = np.abs(np.subtract(several["weights"], one["weights"])).max()
    assert 1e-6 < farthest < 0.01
    assert several["history"] == pytest.approx(one["history"], rel=0.01)


@pytest.mark.parametrize("name", ["normal", "uniform"])
def test_the_replicas_noise_joined_is_that_of_one_device(comparison, name):
    noise = comparison["noise"][name]
    assert noise["joined"] == noise["whole"]
    assert len(np.unique(noise["joined"])) == 6 * comparison["replicas"]


def test_the_mean_of_the_global_batch_is_of_all_replicas_and_a_constant(comparison):
    means, gradients = comparison["means"]
    # Of rows (1, 5), (3, 9) on the first replica, and of these and 10, 20, … on the others.
    replicas = comparison["replicas"]
    added = 5 * (replicas - 1)
    assert means == [[2 + added, 7 + added]] * replicas
    assert gradients == [[[0, 0], [0, 0]]] * replicas


def test_batches_that_are_shared_already_are_no_steps_of_several_updates(comparison):
    expected = "x must be a tf.data.Dataset, since fit joins its batches to steps, received: 'batches shared already'"
    assert comparison["refused"] == expected


def test_cpu_devices_are_mirrored_only_when_asked_for(comparison):
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


def test_gpus_memory_is_taken_as_it_is_needed_unless_they_run_already(monkeypatch):
    asked = []

    def set_memory_growth(gpu, enable):
        asked.append((gpu, enable))
        if gpu == "GPU:0":
            raise RuntimeError("Physical devices cannot be modified after being initialized")
        if gpu == "GPU:1":
            raise ValueError("Cannot set memory growth on device when virtual devices configured")

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"{kind}:{index}" for index in range(3)])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", set_memory_growth)
    distribution.strategy("none")
    assert asked == [(f"GPU:{index}", True) for index in range(3)]


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

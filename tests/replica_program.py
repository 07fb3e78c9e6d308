"""Program that trains small models under strategies and prints the results as JSON. No tests.

    python replica_program.py DEVICES STRATEGIES CASES

DEVICES: number of CPU devices. STRATEGIES: JSON list of names; `multiworker` reads TF_CONFIG. CASES: JSON list of kind
of model, number of images and the form in which `fit` gets them.
"""

import json
import sys

import tensorflow as tf

DEVICES = int(sys.argv[1])
tf.config.set_visible_devices([], "GPU")
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * DEVICES
)

import keras  # noqa: E402  (devices must be configured first)
import numpy as np  # noqa: E402

from keras_gen.models.regularizers import R1, R2, GradientPenalty  # noqa: E402
from keras_gen import GAN, VAE, WGAN, Autoencoder, UsageError, data, distribution, networks  # noqa: E402

SHAPE = (8, 8, 1)


def images(count):
    # The first half of every batch of 8 is dark: means over one replica differ from global means.
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


def normalized_pair():
    generator = networks.deep_conv_generator(SHAPE, latent_dim=3, filters=(4,), kernel_size=3)
    return generator, networks.conv_discriminator(SHAPE, filters=(3,), dropout=0.0)


def spectral_discriminator():
    return networks.conv_discriminator(SHAPE, filters=(3,), dropout=0.0, normalization="spectral")


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
    "averaged gan": lambda: GAN(*normalized_pair(), moving_average=0.25),
    "conditional gan": lambda: GAN(*pair(4), generator_batch_ratio=2, moving_average=0.9),
    "wgan": lambda: WGAN(*pair(), critic_steps=2),
    "clipped wgan": lambda: WGAN(
        *normalized_pair(), critic_steps=2, gradient_penalty=0.0, weight_clip=0.05, moving_average=0.25
    ),
    "regularized gan": lambda: GAN(
        *pair(),
        objective="relativistic",
        generator_batch_ratio=2,
        regularizers=[GradientPenalty(0.5), R1(0.1), R2(0.1)],
        augment="color,translation,cutout",
    ),
    "spectral gan": lambda: GAN(pair()[0], spectral_discriminator(), objective="hinge"),
    "importance-weighted vae": lambda: vae(importance_samples=3, kl_warmup=4),
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
    return max(float(np.abs(a - b).max()) for a, b in zip(some, others, strict=True))


def trained(strategy, kind, count, form):
    """Return the weights and reported values of a model after plain gradient descent on `count` images."""
    with strategy.scope():
        model = build(kind)
        start = [variable.numpy() for variable in model.trainable_variables]
        arrays, size = (images(count), labels(count)), 6 if kind.endswith("wgan") else 8
        try:
            if form == "array":
                options = {"batch_size": size, "validation_batch_size": size, "shuffle": False}
                history = model.fit(*arrays, validation_data=arrays, **options, verbose=0).history
            else:
                dataset = tf.data.Dataset.from_tensor_slices(arrays).batch(size)
                options = {"validation_data": dataset}
                if form == "unknown":  # number of batches
                    dataset = dataset.filter(lambda *batch: True)
                    options = {"validation_data": dataset, "epochs": 2}
                elif form == "steps":  # the dataset has more than an epoch's
                    options |= {"steps_per_epoch": 2, "epochs": 2}
                    dataset = dataset.repeat()
                history = model.fit(dataset, verbose=0, **options).history
            batches = int(model._evaluation_batches.numpy())
            evaluated = model.evaluate(*arrays, batch_size=8, verbose=0, return_dict=True)
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}"[:300]}
        after = [variable.numpy() for variable in model.trainable_variables]
        average, generator = getattr(model, "generator_average", None), getattr(model, "generator", None)
        everything = [variable.numpy() for variable in model.weights]
        # A critic's last bias cancels out of its loss, as does one before a batch normalization.
        must_move = [array.ndim > 1 or kind in ("vae", "gan") for array in start]
        return {
            "replicas": model.distribute_strategy.num_replicas_in_sync,
            "updates": model.updates,
            "validated": batches,
            "evaluated batches": int(model._evaluation_batches.numpy()),
            "history": {name: values[-1] for name, values in history.items()},
            "evaluated": evaluated,
            "weights": np.concatenate([array.ravel() for array in everything]).tolist(),
            "moved": min(
                float(np.abs(a - b).max()) for a, b, must in zip(start, after, must_move, strict=True) if must
            ),
            "average lags": average is not None and farthest(average.get_weights(), generator.get_weights()) > 1e-5,
        }


def joined_noise():
    strategy, seed = distribution.strategy("mirrored"), [3, 5]
    results = {}
    for name in ("normal", "uniform"):
        draw = getattr(distribution, name)
        parts = strategy.run(tf.function(draw), ((3, 2), tf.constant(seed)))
        joined = np.concatenate([part.numpy() for part in strategy.experimental_local_results(parts)])
        whole = draw((3 * DEVICES, 2), tf.constant(seed))
        results[name] = {"joined": joined.tolist(), "whole": whole.numpy().tolist()}
    return results


def joined_means():
    strategy = distribution.strategy("mirrored")

    def mean():
        first = 10.0 * tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.float32)
        values = first + tf.constant([[1.0, 5.0], [3.0, 9.0]])
        with tf.GradientTape() as tape:
            tape.watch(values)
            result = distribution.global_mean(values)
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


def main():
    strategies, cases = json.loads(sys.argv[2]), json.loads(sys.argv[3])
    used = [distribution.strategy(name) for name in strategies]
    results = {}
    if "mirrored" in strategies:
        results = {"names": names(), "refused": refused(), "noise": joined_noise(), "means": joined_means()}
    results["trained"] = [[trained(strategy, *case) for strategy in used] for case in cases]
    print(json.dumps(results))


if __name__ == "__main__":
    main()

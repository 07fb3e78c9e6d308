"""Adam and RMSprop: the same results and state as Keras', and Keras' implementation where the kernel is unsupported."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gen import zoo
from keras_gen.optimizers import Adam, RMSprop

SHAPES = [(7, 5), (5,), (3, 3, 2, 4), ()]


def variables():
    generator = np.random.default_rng(0)
    return [keras.Variable(generator.normal(size=shape).astype("float32")) for shape in SHAPES]


def gradients(steps):
    generator = np.random.default_rng(1)
    # Of many magnitudes, including zeros.
    scales = [10.0 ** generator.uniform(-6, 3, shape) * generator.integers(0, 2, shape) for shape in SHAPES]
    return [
        [
            tf.constant(generator.normal(size=shape) * scale, tf.float32)
            for shape, scale in zip(SHAPES, scales, strict=True)
        ]
        for _ in range(steps)
    ]


def trained(optimizer, steps=20):
    weights = variables()
    optimizer.build(weights)
    apply = tf.function(lambda grads: optimizer.apply(grads, weights))
    for grads in gradients(steps):
        apply(grads)
    return [weight.numpy() for weight in weights], [variable.numpy() for variable in optimizer.variables]


KERNELS = {Adam: "ResourceApplyAdam", RMSprop: "ResourceApplyRMSProp"}
OPTIONS = {
    "as it is": {},
    "clipping": {"clipnorm": 0.5},
    "global clipping": {"global_clipnorm": 0.5},
    "weight decay": {"weight_decay": 0.01},
    "averaged weights": {"use_ema": True, "ema_momentum": 0.9},
    "accumulation": {"gradient_accumulation_steps": 2},
    "a schedule": {"learning_rate": keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5)},
}


OWN_OPTIONS = [
    (Adam, {"beta_1": 0.0, "beta_2": 0.9, "epsilon": 1e-3}),
    (Adam, {"amsgrad": True}),
    (RMSprop, {"rho": 0.5, "momentum": 0.7, "epsilon": 1e-3}),
    (RMSprop, {"centered": True, "momentum": 0.7}),
]


@pytest.mark.parametrize(("kind", "options"), [*itertools.product(KERNELS, OPTIONS.values()), *OWN_OPTIONS])
def test_it_equals_keras(kind, options):
    options = {"learning_rate": 0.01} | options
    ours, theirs = trained(kind(**options)), trained(getattr(keras.optimizers, kind.__name__)(**options))
    assert len(ours[1]) == len(theirs[1])
    for found, expected in zip(ours, theirs, strict=True):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_adam_follows_the_papers_rule_in_float64():
    rate, beta_1, beta_2, epsilon = 0.01, 0.9, 0.999, 1e-7
    found, _ = trained(Adam(rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon), steps=3)
    for index, start in enumerate(variables()):
        weight, m, v = start.numpy().astype(float), 0.0, 0.0
        for step, grads in enumerate(gradients(3), start=1):
            gradient = grads[index].numpy().astype(float)
            m, v = beta_1 * m + (1 - beta_1) * gradient, beta_2 * v + (1 - beta_2) * gradient**2
            rescaled = rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
            weight = weight - rescaled * m / (np.sqrt(v) + epsilon)
        np.testing.assert_allclose(found[index], weight, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_rmsprop_follows_its_rule_in_float64(momentum):
    rate, rho, epsilon = 0.01, 0.9, 1e-7
    found, _ = trained(RMSprop(rate, rho=rho, momentum=momentum, epsilon=epsilon), steps=3)
    for index, start in enumerate(variables()):
        weight, m, v = start.numpy().astype(float), 0.0, 0.0
        for grads in gradients(3):
            gradient = grads[index].numpy().astype(float)
            v = rho * v + (1 - rho) * gradient**2
            m = momentum * m + rate * gradient / np.sqrt(v + epsilon)
            weight = weight - m
        np.testing.assert_allclose(found[index], weight, rtol=2e-5, atol=1e-6)


def kernels(optimizer, weights, grads):
    """Return the names of the operations of one update."""
    optimizer.build(weights)
    return operations(tf.function(lambda: optimizer.apply(grads, weights)))


def operations(function):
    definition = function.get_concrete_function().graph.as_graph_def()
    return [node.op for node in definition.node] + [n.op for f in definition.library.function for n in f.node_def]


@pytest.mark.parametrize("optimizer", [Adam(), RMSprop(), RMSprop(momentum=0.5)])
def test_an_update_of_a_variable_is_one_kernel(optimizer):
    assert kernels(optimizer, variables(), gradients(1)[0]).count(KERNELS[type(optimizer)]) == len(SHAPES)


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("what", ["an option", "sparse", "float64", "devices"])
def test_where_the_kernel_does_not_fit_keras_own_is_used(kind, what):
    option = {Adam: "amsgrad", RMSprop: "centered"}[kind]
    weights, optimizer = [keras.Variable(np.ones((4, 2), "float32"))], kind(**{option: what == "an option"})
    grads = [tf.ones((4, 2))]
    if what == "float64":
        weights, grads = [keras.Variable(np.ones((4, 2)), dtype="float64")], [tf.ones((4, 2), tf.float64)]
    if what == "sparse":
        grads = [tf.IndexedSlices(tf.ones((1, 2)), tf.constant([1]), tf.constant([4, 2]))]
    if what != "devices":
        assert KERNELS[kind] not in kernels(optimizer, weights, grads)
        return
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        weights, optimizer = [keras.Variable(np.ones((4, 2), "float32"))], kind(0.1)
        optimizer.build(weights)
    step = tf.function(lambda: strategy.run(lambda: optimizer.apply(grads, weights)))
    assert KERNELS[kind] not in operations(step)
    step()
    first_step = {Adam: 0.1, RMSprop: 0.1 / np.sqrt(0.1)}[kind]
    np.testing.assert_allclose(weights[0].numpy(), 1 - first_step, rtol=1e-5)


def test_it_is_saved_and_loaded_with_a_model(tmp_path):
    model = zoo.build("gan-mlp", (8, 8, 1), hidden=4)
    assert all(type(optimizer) is Adam for optimizer in model.optimizers)
    model.compile(Adam(1e-3), RMSprop(1e-4))
    model.fit(np.random.default_rng(0).random((8, 8, 8, 1)), batch_size=4, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [type(optimizer) for optimizer in loaded.optimizers] == [Adam, RMSprop]
    for theirs, ours in zip(loaded.optimizers, model.optimizers, strict=True):
        assert theirs.get_config() == ours.get_config()
        assert int(theirs.iterations) == 2
        for a, b in zip(theirs.variables, ours.variables, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", KERNELS)
def test_tensorflow_checkpoints_are_those_of_keras_optimizer(kind, tmp_path):
    theirs = getattr(keras.optimizers, kind.__name__)
    for saved, restored in ((kind, theirs), (theirs, kind)):
        pairs = []
        for each in (saved, restored):
            optimizer = each(0.1)
            optimizer.build(variables())
            pairs.append((optimizer, tf.train.Checkpoint(optimizer=optimizer)))
        path = pairs[0][1].save(tmp_path / "checkpoint")
        pairs[1][1].restore(path).assert_consumed()


@pytest.mark.parametrize("kind", KERNELS)
def test_a_single_variable_can_be_updated(kind):
    results = []
    for optimizer in (kind(0.1), getattr(keras.optimizers, kind.__name__)(0.1)):
        weight = keras.Variable(np.ones(3, "float32"))
        optimizer.build([weight])
        optimizer.update_step(tf.constant([1.0, -2.0, 0.5]), weight.value, 0.1)
        results.append(weight.numpy())
    np.testing.assert_allclose(*results, rtol=1e-5)

"""benchmark.py: every part runs at a small size, compares equal things and prints how many times as fast one is."""

import json
import re

import command_helpers
import pytest
from command_helpers import SCRIPTS, call

own_working_directory, nothing_at_hand = command_helpers.own_working_directory, command_helpers.nothing_at_hand

TIMES = re.compile(r"(\d+\.\d+) times as fast")


def measured(*arguments):
    outcome = call("benchmark", *arguments)
    assert outcome.code == 0, outcome.err
    return outcome.out


def test_both_frechet_distances_are_one_number_and_their_times_are_compared():
    out = measured("frechet", "--size", 40, "--repeats", 2)
    reference, ours = re.match(r"D = 40: sqrtm (\S+), keras_gen (\S+)\n", out).groups()
    assert float(ours) == pytest.approx(float(reference), rel=1e-6)
    assert float(ours) > 0
    assert all(float(times) > 0 for times in TIMES.findall(out))
    assert TIMES.findall(out)


def test_both_ways_to_inception_features_agree_and_their_times_are_compared():
    out = measured("inception-v3", "--size", 2, "--repeats", 1)
    differences = [float(value) for value in re.findall(r"^2 images.* (\S+)$", out, re.MULTILINE)]
    assert differences
    assert max(differences) < 1e-3  # features of random weights are about 0.05
    assert all(float(times) > 0 for times in TIMES.findall(out))
    assert "images a second" in out
    assert TIMES.findall(out)


def test_a_long_run_is_watched():
    out = measured("memory", "--size", 2)
    for model in ("vae-mlp", "gan-mlp"):
        table = out[out.index(f"{model}: epoch, memory in MB, open files, threads") :].splitlines()[1:6]
        for row in table:
            epoch, memory, files, threads = map(float, row.split())
            assert (0 <= epoch <= 2, memory > 100, files > 3, threads > 1) == (True,) * 4
    assert "KB an epoch from epoch 0 on" in out
    assert re.search(r"written, in KB: checkpoints \d", out)


def test_training_is_compared_with_keras_own(tmp_path):
    path = tmp_path / "measured.json"
    outcome = call("benchmark_training", "--models", "vae-mlp", "--rounds", 2, "--seconds", 0.1, "--json", path)
    assert outcome.code == 0, outcome.err
    found = json.loads(path.read_text())["vae-mlp"]
    assert {way: len(rates) for way, rates in found.items()} == {"Keras": 2, "float32": 2, "bfloat16": 2}
    ratio = r"[\d,]+ \(.*\): ([\d.]+) \(([\d.]+) to ([\d.]+)\) ×"
    shown = re.search(rf"vae-mlp: Keras [\d,]+ \(.*\); float32 {ratio}; bfloat16 {ratio}", outcome.out).groups()
    for own, (_, low, high) in (("float32", shown[:3]), ("bfloat16", shown[3:])):
        expected = sorted(one / other for one, other in zip(found[own], found["Keras"], strict=True))
        assert [float(low), float(high)] == pytest.approx(expected, abs=0.006)


def test_both_sides_of_the_comparison_are_one_model():
    import keras
    import numpy as np

    from keras_gen import zoo
    from keras_gen.networks.narrow_convolution import NarrowConv2D

    model = zoo.build("gan-conv", (12, 12, 1), seed=0)
    stock = SCRIPTS["benchmark_training"].stock(model)
    kinds = [type(layer) for layer in stock.generator.layers]
    assert NarrowConv2D not in kinds
    assert keras.layers.Conv2D in kinds
    assert [type(optimizer) for optimizer in stock.optimizers] == [keras.optimizers.Adam] * 2
    made = [np.asarray(one.generate(2, 0)["images_float"]) for one in (model, stock)]
    np.testing.assert_allclose(*made, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lenet"], "invalid choice: 'lenet'"),
        (["frechet", "--repeats", 0], "--repeats must be an integer of at least 1"),
        (["frechet", "--size", 0], "--size must be an integer of at least 1"),
        ([], "part"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line(arguments, message):
    assert message in call("benchmark", *arguments).error

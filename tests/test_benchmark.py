"""benchmark.py: every part runs at a small size, compares equal things and prints how many times as fast one is."""

import re

import command_helpers
import pytest
from command_helpers import call

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

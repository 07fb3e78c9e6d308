"""benchmark.py: every part runs at a small size, compares equal computations and prints their relative speed."""

import json
import re
import statistics

import pytest
from command_helpers import call

from keras_gen import zoo
from keras_gen.commands import benchmark_training
from keras_gen.commands.benchmarks import models, start

pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network")

NUMBER = r"([\d.,]+)"
SPREAD = rf"{NUMBER} \({NUMBER} to {NUMBER}\)"
DIFFERENCE = re.compile(r"^(\S+), (.+): largest difference of .* (\S+)$", re.MULTILINE)


@pytest.fixture
def measured(tmp_path):
    """Return a function that runs the command and returns its output and its JSON file."""

    def run(*arguments):
        path = tmp_path / "measured.json"
        outcome = call("benchmark", *arguments, "--json", path)
        assert outcome.code == 0, outcome.err
        return outcome.out, json.loads(path.read_text())

    return run


def numbers(texts):
    return [float(text.replace(",", "")) for text in texts]


def spread(values):
    return [statistics.median(values), min(values), max(values)]


def assert_compared(out, seconds, repeats):
    """Check that each variant has a line with its seconds and their ratios to the first variant's."""
    first = next(iter(seconds.values()))
    for way, each in seconds.items():
        assert len(each) == repeats
        line = rf"^{re.escape(way)}: {SPREAD} s.*; {SPREAD} times as fast$"
        shown = numbers(re.search(line, out, re.MULTILINE).groups())
        assert shown[:3] == pytest.approx(spread(each), abs=0.00051)
        ratios = [other / own for other, own in zip(first, each, strict=True)]
        assert shown[3:] == pytest.approx(spread(ratios), abs=0.0051)


def assert_rates(out, name, rates, repeats):
    """Check that a recipe's line has the rates of the rounds and their ratios to those of Keras."""
    shown = re.search(rf"^{name}: (Keras .*)$", out, re.MULTILINE)[1]
    for part, (way, each) in zip(shown.split("; "), rates.items(), strict=True):
        assert len(each) == repeats
        tail = "" if way == "Keras" else rf": {SPREAD} ×"
        found = numbers(re.fullmatch(rf"{way} {SPREAD}{tail}", part).groups())
        assert found[:3] == pytest.approx(spread(each), abs=0.51)
        ratios = [own / other for own, other in zip(each, rates["Keras"], strict=True)]
        assert found[3:] == (pytest.approx(spread(ratios), abs=0.0051) if tail else [])


def test_both_frechet_distances_are_equal_and_their_times_are_compared(measured):
    out, found = measured("frechet", "--size", 40, "--repeats", 2)
    reference, ours = re.match(r"D = 40: sqrtm (\S+), keras_gen (\S+)\n", out).groups()
    assert float(ours) == pytest.approx(float(reference), rel=1e-6)
    assert float(ours) > 0
    assert list(found["seconds"]) == ["sqrtm", "keras_gen"]
    assert_compared(out, found["seconds"], 2)


@pytest.mark.slow
def test_both_ways_to_inception_features_agree_and_their_times_are_compared(measured):
    out, found = measured("inception-v3", "--size", 2, "--repeats", 1)
    differences = [float(value) for value in re.findall(r"^2 images.* (\S+)$", out, re.MULTILINE)]
    assert differences
    assert max(differences) < 1e-3  # features of random weights are about 0.05
    assert "images per second" in out
    assert found["images"] == 2
    assert_compared(out, found["seconds"], 1)


@pytest.mark.slow
def test_memory_of_a_long_run_is_measured(measured):
    out, found = measured("memory", "--size", 2)
    for model in ("vae-mlp", "gan-mlp"):
        table = out[out.index(f"{model}: epoch, memory in MB, open files, threads") :].splitlines()[1:6]
        for row in table:
            epoch, memory, files, threads = map(float, row.split())
            assert (0 <= epoch <= 2, memory > 100, files > 3, threads > 1) == (True,) * 4
            held = [found_memory for _, found_memory, *_ in found[model]["samples"]]
            assert any(memory == pytest.approx(each, abs=0.051) for each in held)
    assert "KB per epoch from epoch 0 on" in out
    assert re.search(r"written, in KB: checkpoints \d", out)


@pytest.mark.slow
def test_training_is_compared_with_plain_keras(tmp_path):
    path = tmp_path / "measured.json"
    outcome = call("benchmark_training", "--models", "vae-mlp", "--rounds", 2, "--seconds", 0.1, "--json", path)
    assert outcome.code == 0, outcome.err
    found = json.loads(path.read_text())["vae-mlp"]
    assert list(found) == ["Keras", "float32", "bfloat16"]
    assert_rates(outcome.out, "vae-mlp", found, 2)


def test_an_unknown_precision_is_refused_before_anything_is_timed():
    outcome = call("benchmark_training", "--precisions", "float32,float16")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--precisions must be one of float32, bfloat16, received: 'float16'" in outcome.err


@pytest.mark.slow
def test_sampling_makes_the_same_images_as_keras_predict(measured):
    out, found = measured("sampling", "--models", "vae-mlp,gan-mlp", "--size", 20, "--repeats", 2)
    assert found["images"] == 20
    largest = {(name, way): float(value) for name, way, value in DIFFERENCE.findall(out)}
    for name, rates in found["images_per_second"].items():
        others = ["float32", "SavedModel float32", "bfloat16", "SavedModel bfloat16"]
        assert list(rates) == ["Keras", "Keras bfloat16", *others]
        assert max(largest[name, way] for way in others) < 1e-2  # relative to Keras in the same precision
        assert max(largest[name, way] for way in others[:2]) < 1e-5
        assert_rates(out, name, rates, 2)
    assert list(found["images_per_second"]) == ["vae-mlp", "gan-mlp"]


@pytest.mark.slow
def test_evaluation_finds_the_same_losses_as_keras(measured):
    out, found = measured("evaluation", "--models", "vae-mlp,gan-mlp,ae-conv", "--size", 70, "--repeats", 2)
    largest = {(name, way): float(value) for name, way, value in DIFFERENCE.findall(out)}
    for name, rates in found["images_per_second"].items():
        assert list(rates) == ["Keras", "float32", "bfloat16"]
        assert largest[name, "float32"] < 0.01  # a VAE's losses are about 800
        assert_rates(out, name, rates, 2)
    assert list(found["images_per_second"]) == ["vae-mlp", "gan-mlp", "ae-conv"]


@pytest.mark.slow
def test_a_baseline_with_other_weights_is_noticed(measured, monkeypatch):
    """The printed differences reveal a different model, here one with other weights."""
    monkeypatch.setattr(benchmark_training, "stock", lambda model: zoo.build("vae-mlp", seed=7))
    for part in ("sampling", "evaluation"):
        out, _ = measured(part, "--models", "vae-mlp", "--size", 20, "--repeats", 1)
        differences = [float(value) for _, _, value in DIFFERENCE.findall(out)]
        assert min(differences) > 0.1


@pytest.mark.slow
def test_a_step_is_timed_as_batches_images_and_data_grow(measured):
    out, found = measured("scaling", "--models", "vae-mlp,gan-mlp", "--size", 1, "--repeats", 2)
    # (batch size, side, images, train steps)
    expected = [(64, 28, 256, 4), (128, 28, 256, 2), (256, 28, 256, 1), (64, 56, 256, 4)]
    expected += [(64, 28, 512, 8), (64, 28, 1024, 16)]
    assert list(found) == ["vae-mlp", "gan-mlp"]
    for name, cases in found.items():
        table = out[out.index(f"{name}: time of a train step") :].splitlines()[1:7]
        for case, sizes, row in zip(cases, expected, table, strict=True):
            assert (case["batch_size"], case["image_shape"][0], case["images"], case["steps"]) == sizes
            text, shown = re.fullmatch(rf"(.*): {SPREAD} ms; {SPREAD} ×", row)[1], numbers(re.findall(NUMBER, row))
            batch, side, images, _ = sizes
            assert text == f"batch {batch}, image {side}x{side}x1, {images:,} images"
            seconds, first = case["seconds_per_step"], cases[0]["seconds_per_step"]
            assert len(seconds) == 2
            ratios = [own / other for own, other in zip(seconds, first, strict=True)]
            assert shown[-6:-3] == pytest.approx(spread([1000 * each for each in seconds]), abs=0.0051)
            assert shown[-3:] == pytest.approx(spread(ratios), abs=0.0051)


def test_a_step_of_several_batches_is_counted_as_one():
    module = models
    case, _ = module.case_of(zoo.get("wgan-gp"), module.Growth(batch_size=2), 1281)
    assert case == {"batch_size": 128, "image_shape": (28, 28, 1), "images": 2 * 4 * 5 * 64, "steps": 4}


@pytest.mark.slow
def test_commands_and_the_first_step_of_a_run_are_timed_as_processes(measured):
    out, found = measured("start-up", "--repeats", 1)
    commands = ["run.py --list", "run.py --help", "run.py --modle vae"]
    assert list(found["seconds"]) == ['python -c "import tensorflow"', "python -c pass", *commands]
    assert_compared(out, found["seconds"], 1)
    (run,) = found["run"]
    assert 0 < run["first_seconds"] < run["seconds"]
    assert 1 <= run["done"] <= run["steps"] == 22
    assert run["peak_megabytes"] > 100  # TensorFlow alone takes more
    assert f"{run['done']} of 22 train steps" in out
    shown = numbers(re.search(rf"^{SPREAD} s; the whole run {SPREAD} s, at most {SPREAD} MB$", out, re.M).groups())
    assert shown[::3] == pytest.approx([run["first_seconds"], run["seconds"], run["peak_megabytes"]], abs=0.51)


def test_a_command_with_another_exit_code_is_not_timed():
    with pytest.raises(RuntimeError, match=r"-c raise SystemExit\(3\) ended with exit code 3, not 0"):
        start.run_python(["-c", "raise SystemExit(3)"], 0)


def test_both_sides_of_the_comparison_are_one_model():
    import keras
    import numpy as np

    model = zoo.build("gan-conv", (12, 12, 1), seed=0, dropout=0.4)
    stock = benchmark_training.stock(model)
    kinds = {type(layer) for network in (stock.generator, stock.discriminator) for layer in network.layers}
    assert {kind.__module__.partition(".")[0] for kind in kinds} == {"keras"}
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
        (["frechet", "--models", "vae-mlp"], "--models can't be used here: frechet has no models"),
        (["start-up", "--size", 5], "--size can't be used here: start-up has no size"),
        (["sampling", "--models", "vae-mpl"], "did you mean 'vae-mlp'?"),
        (["sampling", "--models", "ae-conv"], "--models must be recipes that generate images, received: 'ae-conv'"),
        (["evaluation", "--models", ""], "model must be one of"),
        (["scaling", "--size", 0], "--size must be an integer of at least 1"),
        (["scaling", "--json", "nowhere/measured.json"], "argument --json: must be a file in a folder that exists"),
        (["scaling", "--json", "."], "argument --json: must be a file name that ends in .json"),
        ([], "part"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line(arguments, message):
    assert message in call("benchmark", *arguments).error


@pytest.mark.slow
def test_an_epoch_of_several_workers_is_modeled_from_what_was_measured(measured):
    out, found = measured("workers", "--models", "vae-mlp", "--size", 64, "--repeats", 1)
    recipe, measured_recipe = zoo.get("vae-mlp"), found["vae-mlp"]
    assert measured_recipe["gradient_bytes"] == 4 * recipe.weights
    steps = {int(size): seconds for size, seconds in measured_recipe["seconds_per_step"].items()}
    assert list(steps) == [recipe.batch_size // number for number in (1, 2, 4, 8)]
    for number, speed_up in measured_recipe["speed_up"].items():
        sent = 2 * (int(number) - 1) / int(number)
        step = steps[recipe.batch_size // int(number)]
        for network, adding in (
            ("measured here", measured_recipe["seconds_of_all_reduce"]),
            ("1 Gbit/s", measured_recipe["gradient_bytes"] / 125e6),
        ):
            assert speed_up[network] == pytest.approx(steps[recipe.batch_size] / (step + sent * adding))
            assert f"{network} {speed_up[network]:.2f} ×" in out
    assert measured_recipe["seconds_of_all_reduce"] > 0

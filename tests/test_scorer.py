"""Tests of scores: their protocols, floors, biases and spreads."""

import dataclasses
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from scorer_helpers import NoiseModel, QuadrantExtractor, squares

from keras_gen.evaluation import MEASURES, Reference, Score, Scorer, protocol, score_name
from keras_gen.evaluation.samples import Sample, generate_chunks
from keras_gen.evaluation.score import aggregate_seeds
from keras_gen.evaluation.scorer import add_floors
from keras_gen.metrics import frechet
from keras_gen.metrics.frechet import GaussianStatistics, fid
from keras_gen.utils.errors import UsageError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_GEN_CACHE", str(tmp_path))


@pytest.fixture
def reference():
    return Reference(squares(1200), QuadrantExtractor(), data="squares")


def held_out(reference, count=600):
    return Reference(squares(count, seed=9), reference.extractor, data="squares", split="test")


def one(scores, name):
    (score,) = [score for score in scores if score.name == name]
    return score


# Protocols


def test_the_order_of_a_protocol_does_not_matter_and_everything_in_it_does():
    known = {"metric": "fid", "generated": 1000, "moving_average": None}
    assert protocol.fingerprint(known) == protocol.fingerprint(dict(reversed(known.items())))
    others = [known | {name: other} for name, other in (("metric", "kid"), ("generated", 999), ("moving_average", 0.9))]
    others.append(known | {"seed": 0})
    assert len({protocol.fingerprint(each) for each in (known, *others)}) == 5


def test_differences_are_named_with_both_values():
    one, other = {"generated": 1000, "seed": 0}, {"generated": 10_000, "seed": 0, "k": 5}
    assert protocol.differences([one, other]) == {"generated": [1000, 10_000], "k": [None, 5]}
    assert protocol.differences([one, other], ignore=["k"]) == {"generated": [1000, 10_000]}
    assert protocol.differences([one, dict(one)]) == {}


def test_a_number_of_another_extractor_has_another_name():
    metrics = ("fid", "fid_infinity", "kid", "inception_score", "precision", "modes")
    named = {
        extractor: [score_name(metric, extractor) for metric in metrics]
        for extractor in ("inception-2015", "inception-v3", "lenet", "cifar")
    }
    assert named["inception-2015"] == list(metrics)
    assert named["lenet"][:4] == ["fd_lenet", "fd_infinity_lenet", "kd_lenet", "classifier_score_lenet"]
    every = [name for names in named.values() for name in names]
    assert len(set(every)) == len(every)


# Scores of a model


def test_the_frechet_distance_is_that_of_the_generated_images(reference):
    model = NoiseModel()
    [score] = Scorer(reference, ("fid",), num_images=1500).score(model, seed=4)
    generated = np.concatenate([squares(n, seed) for n, seed in model.calls])
    assert [n for n, _ in model.calls] == [1000, 500]
    assert len({seed for _, seed in model.calls}) == 2
    expected = fid(reference.extractor(generated).features, reference.features)
    assert score.value == pytest.approx(expected, rel=1e-9)
    assert (score.name, score.better, score.spread, score.floor) == ("fd_lenet", "low", None, None)


def test_the_same_seed_gives_the_same_score_and_another_one_another(reference):
    scorer = Scorer(reference, num_images=300)
    first, again, other = (scorer.score(NoiseModel(), seed)[0] for seed in (0, 0, 1))
    assert first == again
    assert first.value != other.value
    assert protocol.differences([first.protocol, other.protocol]) == {"seed": [0, 1]}


def test_every_measure_gives_numbers_with_their_protocol(reference):
    scores = Scorer(reference, tuple(MEASURES), num_images=600, held_out=held_out(reference)).score(NoiseModel())
    assert {score.name for score in scores} == {
        "fd_lenet", "fd_infinity_lenet", "kd_lenet", "classifier_score_lenet", "precision_lenet", "recall_lenet",
        "density_lenet", "coverage_lenet", "modes_lenet", "mode_entropy_lenet", "confident_lenet", "memorisation_lenet",
    }  # fmt: skip
    assert len({score.fingerprint for score in scores}) == len(scores)
    for score in scores:
        assert math.isfinite(score.value)
        assert score.protocol["generated"] == 600
        assert score.protocol["extractor_sha256"] == "0" * 64
        assert score.protocol["quantisation"] == "uint8, rounded"
        assert Score.from_json(json.loads(json.dumps(score.to_json()))) == score
    # Generated and reference images have the same distribution.
    # Naeem et al. 2020: 1 − (n−1)···(n−k) / ((n+m−1)···(n+m−k)) in the mean, here with n = 1200, m = 600 and k = 5.
    assert one(scores, "coverage_lenet").value == pytest.approx(0.869, abs=0.04)
    assert one(scores, "memorisation_lenet").value == pytest.approx(0.5, abs=0.05)
    assert one(scores, "kd_lenet").value == pytest.approx(0.0, abs=5 * one(scores, "kd_lenet").spread)


def test_a_collapsed_model_has_high_precision_and_low_recall(reference):
    class Collapsed(NoiseModel):
        def generate(self, n, seed):
            images = np.repeat(next(reference.chunks(1)), n, axis=0).astype(int)
            noise = np.random.default_rng(seed).integers(-1, 2, images.shape)
            images = np.clip(images + noise, 0, 255).astype(np.uint8)
            return {"images": images, "images_float": images / 255.0}

    scores = Scorer(reference, ("precision_recall", "mode_coverage"), num_images=600).score(Collapsed())
    assert one(scores, "precision_lenet").value > 0.95
    assert one(scores, "recall_lenet").value < 0.05
    assert one(scores, "coverage_lenet").value < 0.05
    assert one(scores, "modes_lenet").value == 1


def test_the_order_of_images_that_are_there_does_not_matter(reference):
    images = squares(1200, seed=3)
    in_order = np.argsort(np.argmax(reference.extractor(images).logits, axis=1), kind="stable")
    scorer = Scorer(reference, ("inception_score", "precision_recall"), num_images=1200)
    mixed, ordered = (
        {score.name: score.value for score in scorer.score_images(parts)}
        for parts in ([images], np.array_split(images[in_order], 3))
    )
    assert mixed["classifier_score_lenet"] > 1.5
    assert ordered == pytest.approx(mixed, rel=0.02)  # parts of 120 images of one class have 1


def test_the_bias_of_images_whose_classes_alternate_is_that_of_mixed_ones(reference):
    images = squares(1200, seed=3)
    classes = np.argmax(reference.extractor(images).logits, axis=1)
    first, second = images[classes == 0], images[classes == 1]
    count = min(len(first), len(second))
    alternating = np.stack([first[:count], second[:count]], axis=1).reshape(-1, *images.shape[1:])
    [score] = Scorer(reference, ("fid",), num_images=2 * count).score_images([alternating])
    assert abs(score.bias) < 0.05 * score.value


def test_the_kernel_distance_records_that_not_all_real_images_were_compared(reference, monkeypatch):
    scorer = Scorer(reference, ("kid",), num_images=100)
    assert "compared_real" not in scorer.score(NoiseModel())[0].protocol
    monkeypatch.setattr("keras_gen.evaluation.reference.FEATURES_KEPT", 1000)
    scorer = Scorer(Reference(squares(1200), reference.extractor), ("kid",), num_images=100)
    assert scorer.score(NoiseModel())[0].protocol["compared_real"] == 1000


def test_another_number_of_images_is_refused(reference):
    with pytest.raises(UsageError, match="images must be 50 images, the num_images of the scorer, received: '49'"):
        Scorer(reference, num_images=50).score_images([squares(40), squares(9)])


def test_the_protocol_says_how_the_model_was_used(reference):
    class Averaged(NoiseModel):
        num_classes = 3
        moving_average = 0.99

    plain, averaged = (Scorer(reference, num_images=20).score(model())[0].protocol for model in (NoiseModel, Averaged))
    assert protocol.differences([plain, averaged]) == {
        "generated_labels": [None, "uniform"],
        "moving_average": [None, 0.99],
    }
    assert plain["batch_norm"] == "moving averages"


def test_floors_are_scores_of_held_out_images(reference):
    scorer = Scorer(
        reference, ("fid", "precision_recall", "memorisation"), num_images=600, held_out=held_out(reference)
    )
    floors = scorer.floors()
    expected = fid(reference.extractor(np.concatenate(list(scorer.held_out.chunks()))).features, reference.features)
    assert floors["fd_lenet"] == pytest.approx(expected, rel=1e-9)
    assert set(floors) == {"fd_lenet", "precision_lenet", "recall_lenet", "density_lenet", "coverage_lenet"}
    bad = add_floors(scorer.score(NoiseModel(level=128)), floors)
    assert one(bad, "fd_lenet").floor == floors["fd_lenet"] < one(bad, "fd_lenet").value
    assert one(bad, "memorisation_lenet").floor is None


def test_there_is_no_floor_of_fewer_images(reference):
    assert Scorer(reference, num_images=601, held_out=held_out(reference)).floors() == {}
    assert Scorer(reference, num_images=601).floors() == {}


@pytest.mark.parametrize("count", [3, 4, 41])
def test_the_bias_is_what_half_as_many_images_add(count):
    features = np.random.default_rng(0).normal(size=(count, 2))
    halves = [GaussianStatistics.from_features(features[start::2]) for start in (0, 1)]
    sample = SimpleNamespace(count=count, statistics=GaussianStatistics.from_features(features), halves=halves)
    real = SimpleNamespace(statistics=GaussianStatistics.from_moments(100, [0.3, 0.1], np.diag([2.0, 0.5])))
    [measured] = MEASURES["fid"].function(sample, real, None, 0)
    assert measured.value == frechet.distance(sample.statistics, real.statistics)
    if count < 4:  # a half of one image has no covariance
        assert measured.bias is None
        return
    of_halves = [frechet.distance(half, real.statistics) for half in halves]
    assert measured.bias == pytest.approx(np.mean(of_halves) - measured.value, rel=1e-12)


def test_few_images_give_a_warning(reference):
    few, many = (Scorer(reference, num_images=n).score(NoiseModel(level=128))[0] for n in (6, 3000))
    assert many.warning is None
    far = dataclasses.replace(few, value=10.0, bias=2.5)
    assert far.warning == "fd_lenet is measured on too few images (6): about 2.5 of 10 is sample-size bias"


def test_without_keep_only_statistics_are_stored(reference):
    sample = Sample(generate_chunks(NoiseModel(), 2500, 0), reference.extractor, 2500, keep=False)
    assert sample.count == sample.statistics.count == 2500
    assert [half.count for half in sample.halves] == [1250, 1250]
    kept = Sample(generate_chunks(NoiseModel(), 2500, 0), reference.extractor, 2500, keep=True)
    np.testing.assert_allclose(sample.statistics.mean, kept.features.astype(np.float64).mean(0), rtol=1e-12)
    assert (kept.logits.shape, sample.features, sample.logits) == ((2500, 3), None, None)


def test_several_seeds_give_a_mean_and_a_spread(reference):
    scorer = Scorer(reference, num_images=100)
    runs = [scorer.score(NoiseModel(), seed) for seed in range(3)]
    [merged] = aggregate_seeds(runs)
    values = [run[0].value for run in runs]
    assert merged.value == pytest.approx(np.mean(values))
    assert merged.spread == pytest.approx(np.std(values, ddof=1))
    assert (merged.spread_over, merged.protocol["seed"]) == ("3 sets of images", "0, 1, 2")
    assert merged.fingerprint != runs[0][0].fingerprint
    assert aggregate_seeds(runs[:1]) == runs[0]


def test_a_tampered_protocol_is_noticed(reference):
    content = Scorer(reference, num_images=20).score(NoiseModel())[0].to_json()
    content["protocol"] = dict(content["protocol"]) | {"generated": 50_000}
    with pytest.raises(ValueError, match="fingerprint of fd_lenet"):
        Score.from_json(content)


def test_infinite_values_survive_json():
    score = Score("reconstruction_psnr", math.inf, {"metric": "psnr"}, "high")
    assert Score.from_json(json.loads(json.dumps(score.to_json(), allow_nan=False))) == score


def test_scores_of_a_constant_image_have_a_closed_form(reference):
    class Constant(NoiseModel):
        def generate(self, n, seed):
            return {"images_float": np.repeat(next(reference.chunks(1)) / 255, n, 0)}

    scores = Scorer(reference, tuple(MEASURES), num_images=60, held_out=held_out(reference)).score(Constant())
    statistics, point = reference.statistics, reference.features[0].astype(np.float64)
    expected = ((point - statistics.mean) ** 2).sum() + np.trace(statistics.covariance)  # a point has no variance
    assert one(scores, "fd_lenet").value == pytest.approx(expected, rel=1e-9)
    assert one(scores, "fd_lenet").bias == pytest.approx(0.0, abs=1e-6 * expected)
    found = {score.name: score.value for score in scores}
    assert found["recall_lenet"] == 0
    assert found["modes_lenet"] == found["memorisation_lenet"] == 1
    assert found["mode_entropy_lenet"] == 0
    assert found["classifier_score_lenet"] == pytest.approx(1.0, abs=1e-6)


def test_a_diverged_model_has_no_score(reference):
    class Diverged(NoiseModel):
        def generate(self, n, seed):
            return super().generate(n, seed) | {"images_float": np.full((n, 8, 8, 1), np.nan)}

    with pytest.raises(UsageError, match="values that are not finite"):
        Scorer(reference, num_images=20).score(Diverged())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"measures": ("fid", "fad")}, "measures must be one of fid, "),
        ({"measures": "fid"}, "measures must be a sequence of names, received: 'fid'"),
        ({"measures": ()}, "measures must be one or more different names"),
        ({"measures": ("fid", "fid")}, "measures must be one or more different names"),
        ({"measures": ("memorisation",)}, "without memorisation, since there are no held-out real images"),
        ({"num_images": 1}, "num_images must be an integer of at least 2"),
        ({"num_images": 2.0}, "num_images must be"),
        ({"held_out": squares(5)}, "held_out must be a Reference"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_arguments_are_named(reference, arguments, message):
    with pytest.raises(UsageError, match=message):
        Scorer(reference, **arguments)


def test_measures_that_an_extractor_does_not_support_are_refused():
    mute = Reference(squares(20), QuadrantExtractor("inception-v3", num_classes=0), data="squares")
    with pytest.raises(UsageError, match="without inception_score, since inception-v3 has no classifier"):
        Scorer(mute, ("inception_score",))
    other = Reference(squares(20), QuadrantExtractor(), data="circles")
    with pytest.raises(UsageError, match="without mode_coverage, since lenet does not know the classes of circles"):
        Scorer(other, ("mode_coverage",))
    test = Reference(squares(20), QuadrantExtractor(), data="squares", split="test")
    with pytest.raises(UsageError, match="without memorisation, since the reference images are not training images"):
        Scorer(test, ("memorisation",), held_out=Reference(squares(20, 1), test.extractor))
    with pytest.raises(UsageError, match="reference must be a"):
        Scorer(squares(20))

"""Tests of metrics against results of other packages for the same features, from `goldens/make_metric_goldens.py`.

All values were computed in float64, so the tolerance is at most 1e-6 of the value.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from keras_gen.metrics.frechet import fid
from keras_gen.metrics.inception import inception_score
from keras_gen.metrics.manifold_overlap import precision_recall
from keras_gen.metrics.polynomial_mmd import kid

SCRIPT = Path(__file__).parent / "goldens" / "make_metric_goldens.py"


def _load_script():
    specification = importlib.util.spec_from_file_location(SCRIPT.stem, SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


script = _load_script()
GOLDENS = json.loads(script.FILE.read_text(encoding="utf-8"))
INPUTS = script.make_inputs()


def _pair(name):
    return INPUTS[f"{name}_real"], INPUTS[f"{name}_generated"]


@pytest.mark.parametrize("name", sorted(INPUTS))
def test_the_inputs_are_those_the_values_were_made_from(name):
    assert np.abs(INPUTS[name]).sum() == pytest.approx(GOLDENS["sums"][name], rel=1e-12)


@pytest.mark.parametrize("package", ["torch-fidelity", "torchmetrics", "pytorch-fid"])
@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("graded", 1e-9),
        # 50 samples, 64 dimensions: eigenvalues of the product that should be 0 are about 1e-16 in those packages, and
        # their roots 1e-8; here there are none (test_frechet.py has the singular case to 1e-9).
        ("few", 1e-6),
    ],
)
def test_fid(package, name, tolerance):
    assert fid(*_pair(name)) == pytest.approx(GOLDENS["fid"][name][package], rel=tolerance)


@pytest.mark.parametrize("package", ["torch-fidelity", "torchmetrics"])
@pytest.mark.parametrize("name", ["graded", "few"])
def test_kid(package, name):
    found = kid(*_pair(name))
    assert found.mean == pytest.approx(GOLDENS["kid"][name][package], rel=1e-9)


def test_inception_score():
    """1003 samples in 10 splits: the result depends on the distribution of the remaining three."""
    found = inception_score(INPUTS["logits"], splits=script.SPLITS)
    assert [found.mean, found.spread] == pytest.approx(GOLDENS["inception_score"]["torch-fidelity"], rel=1e-9)


@pytest.mark.parametrize("name", ["graded", "few"])
def test_precision_recall_density_coverage(name):
    found = precision_recall(*_pair(name), k=script.NEIGHBORS)
    assert found._asdict() == pytest.approx(GOLDENS["precision_recall"][name]["prdc"], rel=1e-12)

"""Runs with `--jit-compile`: they train as without XLA, resume bit for bit, and use one device."""

import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from command_helpers import call, train, write_npz
from run_helpers import assert_same_run, history_without_seconds

from keras_gen import UsageError, data, distribution
from keras_gen.runs import loading
from keras_gen.runs.settings import RunSettings
from keras_gen.training import faults

pytestmark = pytest.mark.usefixtures("own_working_directory", "no_network")


@pytest.mark.slow
def test_a_compiled_run_trains_as_another_and_resumes_bit_for_bit():
    noise = write_npz("noise.npz", train=51)
    options = ["--fid-every", 0, "--batch-size", 8]  # 47 images: the last batch is smaller
    assert train("whole", noise, "--jit-compile", *options, epochs=3).code == 0
    assert train("plain", noise, *options, epochs=3).code == 0
    assert train("part", noise, "--jit-compile", *options, epochs=2).code == 0
    whole, plain, part = (Path(name) / "00001-vae-mlp" for name in ("whole", "plain", "part"))
    assert call("run", "--resume", part, "--epochs", 3).code == 0
    assert_same_run(part, whole)
    losses = [[float(row["val_loss"]) for row in history_without_seconds(run)] for run in (whole, plain)]
    np.testing.assert_allclose(*losses, rtol=0.01)
    assert losses[0] != losses[1]  # other noise: XLA was at work


def test_an_operation_that_xla_lacks_is_named_in_one_line():
    message = (
        "Graph execution error:\n\nDetected unsupported operations when trying to compile graph __inference_step_970[] "
        "on XLA_CPU_JIT: ResizeNearestNeighborGrad (No registered 'ResizeNearestNeighborGrad' OpKernel for …)"
    )
    model = types.SimpleNamespace(distribute_strategy=tf.distribute.get_strategy())
    expected = "^run runs/1 stopped: XLA lacks ResizeNearestNeighborGrad; train without --jit-compile$"
    with pytest.raises(UsageError, match=expected), faults.explain_errors(Path("runs/1"), None, model):
        raise tf.errors.InvalidArgumentError(None, None, message)
    with pytest.raises(tf.errors.InvalidArgumentError), faults.explain_errors(Path("runs/1"), None, model):
        raise tf.errors.InvalidArgumentError(None, None, "another")


def test_several_devices_are_refused(monkeypatch):
    settings = RunSettings("vae-mlp", dataset="digits", jit_compile=True)
    digits = data.load("digits")
    monkeypatch.setattr(distribution, "strategy", lambda *_: types.SimpleNamespace(num_replicas_in_sync=2))
    with pytest.raises(UsageError, match="^jit_compile must be False with 2 devices, received: True$"):
        loading.build(settings, digits)

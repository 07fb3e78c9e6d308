"""Cases for, and comparison of, training on several replicas and on one device."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_helpers import environment

PROGRAM = Path(__file__).with_name("replica_program.py")
# Kind of model, number of images, form in which `fit` gets them. Most have a last batch that can't be divided evenly,
# or has fewer images than replicas.
EXACT = [
    ("vae", 17, "unknown"),
    ("gaussian vae", 15, "array"),
    ("conditional vae", 17, "dataset"),
    ("denoiser", 19, "dataset"),
    ("gan", 24, "steps"),
    ("gan", 1, "array"),
    ("averaged gan", 21, "array"),
    ("conditional gan", 21, "array"),
    ("dropped-out gan", 15, "dataset"),
    ("several steps a call vae", 23, "array"),
    ("wgan", 21, "dataset"),
    ("clipped wgan", 21, "array"),
    ("conditional wgan", 13, "array"),
    ("regularized gan", 21, "array"),
    ("spectral gan", 21, "dataset"),
    ("importance-weighted vae", 17, "array"),
]


def free_addresses(count):
    """Return addresses of this machine whose ports are free at the moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    for each in sockets:
        each.close()
    return addresses


def start_program(devices, strategies, cases, **variables):
    """Start the program with additional environment variables."""
    return subprocess.Popen(
        [sys.executable, PROGRAM, str(devices), json.dumps(strategies), json.dumps(cases)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**variables),
    )


def results_of(*processes):
    """Return the results that the programs print; the programs may wait for each other."""
    results = []
    try:
        for process in processes:
            out, err = process.communicate(timeout=1200)
            assert process.returncode == 0, err[-3000:]
            results.append(json.loads(out.splitlines()[-1]))
    finally:
        for process in processes:
            process.kill()
    return results


def assert_trained_alike(one, several, replicas, kind, count):
    """Check that weights and reported values of several replicas equal those of one device up to float32 rounding."""
    assert "error" not in several, several
    assert (one["replicas"], several["replicas"]) == (1, replicas)
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
    if kind == "conditional vae":  # free bits are active in some dimension
        for values in (several["history"], several["evaluated"]):
            assert values["loss"] - values["reconstruction"] - 50 * values["kl"] > 0.01
    if kind == "gaussian vae":
        assert abs(several["history"]["scale"] - 1) > 1e-3

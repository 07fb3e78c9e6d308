"""The processor that trains: whether it is fast in bfloat16, and what `--precision auto` makes of it."""

import dataclasses
from pathlib import Path

import pytest
import tensorflow as tf

from keras_gen import zoo
from keras_gen.runs.settings import RunSettings
from keras_gen.utils import processor

is_fast_in_bfloat16 = processor.is_fast_in_bfloat16.__wrapped__  # the tests' own process has another, see conftest.py


@pytest.fixture
def machine(monkeypatch):
    """Return a function that pretends a machine and returns whether it is fast in bfloat16."""
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)

    def pretend(flags="", gpus=()):
        text = f"processor\t: 0\nmodel name\t: flags of avx512_bf16\nflags\t\t: {flags}\nbugs\t\t: amx_bf16\n"
        monkeypatch.setattr(processor, "_has_nvidia_driver", lambda: bool(gpus))
        monkeypatch.setattr(Path, "read_text", lambda path: text if path == Path("/proc/cpuinfo") else "")
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(gpus))
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: gpu)
        return is_fast_in_bfloat16()

    return pretend


@pytest.mark.parametrize(
    ("flags", "is_fast"),
    [
        ("fpu avx512f amx_bf16 amx_tile", True),
        ("fpu avx512_bf16", True),
        ("fpu avx2 avx512f avx512_vnni", False),
        ("fpu avx512_bf16x", False),
        ("", False),
    ],
)
def test_the_flags_of_a_processor_decide(machine, flags, is_fast):
    assert machine(flags) is is_fast


def test_a_processor_is_slow_without_tensorflow_s_kernels(machine, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert not machine("amx_bf16")


@pytest.mark.parametrize(
    ("gpus", "is_fast"),
    [
        ([{"compute_capability": (8, 0)}], True),
        ([{"compute_capability": (9, 0)}, {"compute_capability": (7, 5)}], False),
        ([{"device_name": "another maker's"}], False),
    ],
)
def test_gpus_decide_where_there_are_some(machine, gpus, is_fast):
    assert machine("amx_bf16", gpus) is is_fast


def test_a_driver_without_a_gpu_leaves_it_to_the_processor(machine, monkeypatch):
    assert not machine("fpu")
    monkeypatch.setattr(processor, "_has_nvidia_driver", lambda: True)
    assert not is_fast_in_bfloat16()


def test_a_system_without_proc_is_slow(monkeypatch):
    def missing(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", missing)
    assert processor._cpu_flags() == []


def test_auto_is_bfloat16_for_compared_recipes_on_fast_processors(monkeypatch):
    compared = [recipe.name for recipe in zoo.recipes() if recipe.allows_bfloat16]
    assert {"vae-mlp", "vae-lstm"} <= set(compared) < {recipe.name for recipe in zoo.recipes()}
    for is_fast in (True, False):
        monkeypatch.setattr(processor, "is_fast_in_bfloat16", lambda is_fast=is_fast: is_fast)
        for recipe in zoo.recipes():
            expected = "bfloat16" if is_fast and recipe.name in compared else "float32"
            assert (
                RunSettings(recipe.name).precision == RunSettings(recipe.name, precision="auto").precision == expected
            )
            assert RunSettings(recipe.name, precision="bfloat16").precision == "bfloat16"
            assert RunSettings(recipe.name, precision="float32").precision == "float32"


def test_a_resumed_run_keeps_what_auto_was(monkeypatch):
    monkeypatch.setattr(processor, "is_fast_in_bfloat16", lambda: True)
    stored = RunSettings("vae-mlp").to_json()
    monkeypatch.setattr(processor, "is_fast_in_bfloat16", lambda: False)
    restored = RunSettings.from_json(stored, "recipe.json")
    assert restored.precision == dataclasses.replace(restored, epochs=9).precision == "bfloat16"

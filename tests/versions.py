"""Try keras_gen with the oldest and the newest TensorFlow and Keras that it supports, each in its own environment.

    python tests/versions.py
    python tests/versions.py --only oldest --python python3.13

For each pair of versions: build a wheel, install it in a new environment, use it in an empty folder (list, train,
resume, sample, evaluate, load `.keras` files of each family), then run the tests that depend on Keras and TensorFlow
most. docs/versions.md has the results.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PINS = {
    # What Colab has.
    "oldest": ["tensorflow==2.20.0", "keras==3.13.2", "tensorboard==2.20.0", "numpy==2.0.2", "gradio==6.24.0"],
    "newest": ["tensorflow==2.21.*", "keras==3.15.*"],
}
TESTS = [
    *("test_conformance", "test_models_*", "test_networks*", "test_resume", "test_exact_resume", "test_run_goldens"),
    *("test_export", "test_distribution", "test_sharding", "test_optimizers", "test_mixed_precision"),
    "test_jit_compile",
    *("test_narrow_convolution", "test_dropout", "test_package", "test_zoo", "test_explorer*", "test_scored_runs"),
]
FAMILIES = ("ae-conv", "vae-conv", "gan-mlp", "wgan-gp")
SAVE = """
import keras, keras_gen
for name in {families}:
    model = keras_gen.zoo.build(name, (28, 28, 1), seed=0)
    model.save(name + ".keras")
    model.decode(keras.random.normal((2, *model.decoder_network.input_shape[1:]), seed=1)).numpy().tofile(name + ".raw")
"""
LOAD = """
import keras, keras_gen
import numpy as np
for name in {families}:
    model = keras.models.load_model(name + ".keras")
    images = model.decode(keras.random.normal((2, *model.decoder_network.input_shape[1:]), seed=1)).numpy()
    np.testing.assert_array_equal(images.ravel(), np.fromfile(name + ".raw", "float32"))
print("loaded", *{families})
"""


def call(*words, folder, **environment):
    """Run a program, print its command line, and end with its output if it fails."""
    print("$", *words, flush=True)
    settings = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "KERAS_GEN_DATA")}
    done = subprocess.run(words, cwd=folder, env=settings | environment, text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}\nexit code {done.returncode}")
    return done.stdout


def try_wheel(bin_folder, folder):
    """Use the installed wheel in an empty folder."""
    program = str(bin_folder / "keras-gen")
    listed = call(program, "list", folder=folder)
    [trained] = [line.partition(";")[0] for line in listed.splitlines() if line.startswith("trained models: ")]
    assert "vae-lstm (= vae)" in listed and "vae-mlp" in trained.split(), listed
    for family in FAMILIES:
        call(
            program, "run", "--model", family, "--dataset", "digits", "--epochs", "2", "--fid-every", "0", folder=folder
        )
    run = next(path for path in sorted((folder / "runs").iterdir()) if "vae" in path.name)
    resumed = call(program, "run", "--resume", str(run), "--epochs", "3", folder=folder)
    assert f"keras-gen sample {run}" in resumed, resumed
    call(program, "sample", str(run), "--num", "16", "--out", "run.png", folder=folder)
    call(program, "sample", "vae-mlp", "--num", "16", folder=folder)
    evaluated = call(program, "evaluate", str(run), "--measures", "none", folder=folder)
    assert "active_units" in evaluated, evaluated
    call(program, "report", str(run), "--quick", folder=folder)
    python = str(bin_folder / "python")
    call(python, "-c", SAVE.format(families=FAMILIES), folder=folder)
    call(python, "-c", LOAD.format(families=FAMILIES), folder=folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=PINS, help="try only these versions")
    parser.add_argument("--python", default=sys.executable, help="the Python of the environments")
    parser.add_argument("--no-tests", action="store_true", help="only use the wheel, without running the tests")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        # A copy, since setuptools builds in the source folder.
        source = Path(scratch, "source")
        source.mkdir()
        for name in (
            "keras_gen",
            "saved_models",
            "setup.py",
            "setup.cfg",
            "pyproject.toml",
            "MANIFEST.in",
            "README.md",
            "LICENSE",
        ):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, source / name)
        call(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", scratch, str(source), folder=scratch)
        (wheel,) = Path(scratch).glob("*.whl")
        for name in [arguments.only] if arguments.only else PINS:
            environment, folder = Path(scratch, name), Path(scratch, f"{name}-folder")
            folder.mkdir()
            call(arguments.python, "-m", "venv", str(environment), folder=scratch)
            python = str(environment / "bin" / "python")
            call(python, "-m", "pip", "install", "-q", f"{wheel}[test]", *PINS[name], folder=scratch)
            versions = call(
                *(python, "-c"),
                "import platform, tensorflow, keras;"
                "print(platform.python_version(), tensorflow.__version__, keras.__version__)",
                folder=folder,
                TF_CPP_MIN_LOG_LEVEL="3",
            )
            print("Python, TensorFlow, Keras:", versions.strip(), flush=True)
            try_wheel(environment / "bin", folder)
            print(f"{name}: the wheel works", flush=True)
            if not arguments.no_tests:
                call(python, "-m", "pip", "install", "-q", "--no-deps", "-e", str(ROOT), folder=scratch)
                files = sorted({str(file) for pattern in TESTS for file in ROOT.glob(f"tests/{pattern}.py")})
                output = call(python, "-m", "pytest", "-q", "--durations", "0", *files, folder=ROOT)
                print(f"{name}: {output.strip().splitlines()[-1]}", flush=True)


if __name__ == "__main__":
    main()

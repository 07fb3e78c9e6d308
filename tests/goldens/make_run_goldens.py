"""Write tests/goldens/VERSION.tar.xz: the files that a version of keras_gen leaves behind, kept so that later versions open them.

    python tests/goldens/make_run_goldens.py 0.1.0

Run it from a checkout of the version whose files are to be kept; `tests/test_run_goldens.py` reads them. Everything is
trained on the embedded digits with networks of a few units. Files that no command reads again (reports, plots,
TensorBoard logs) are left out. `expected.json` holds what that version itself computed from the files.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
SETTINGS = ("--dataset", "digits", "--batch-size", "256", "--samples", "4", "--seed", "0")
RUNS = {
    "vae-mlp": ("--model", "vae-mlp", "--set", "hidden=4", "latent_dim=2"),
    "gan-mlp": ("--model", "gan-mlp", "--set", "hidden=4", "latent_dim=2", "moving_average=0.9"),
}
SWEEP = ("dataset=digits", "epochs=1", "batch_size=256", "hidden=1", "fid_every=0", "samples_every=0")
# One recipe of each family, small enough to be kept.
MODELS = {
    "autoencoder": ("ae-conv", {"width": 1}),
    "vae": ("vae-mlp", {"hidden": 2, "latent_dim": 2}),
    "gan": ("gan-mlp", {"hidden": 2, "latent_dim": 2, "num_classes": 10}),
    "wgan": ("wgan-gp", {"latent_dim": 2, "width": 1}),
}
NOT_READ_AGAIN = (
    "report.html",
    "losses.png",
    "model.txt",
    "lock",
    "comparison.html",
    "sweep.csv",
    "tensorboard",
    "logs",
)


def command(name: str, *arguments: str) -> None:
    """Run a command of this checkout, from the checkout."""
    subprocess.run([sys.executable, f"experiments/{name}.py", *arguments], cwd=ROOT, check=True)


def last_row(run: Path) -> dict[str, float]:
    """The last epoch of a run's history."""
    with open(run / "history.csv", newline="", encoding="utf-8") as file:
        return {name: float(text) for name, text in list(csv.DictReader(file))[-1].items() if text}


def make_runs(folder: Path, expected: dict) -> None:
    """Two epochs of each run, measured; and the history of a third epoch, trained in a copy."""
    for index, (name, arguments) in enumerate(RUNS.items(), 1):
        command("run", *arguments, *SETTINGS, "--epochs", "2", "--fid-every", "2", "--out", str(folder / "runs"))
        run = folder / "runs" / f"{index:05d}-{name}"
        (run / "checkpoints" / "epoch-00001.npz").unlink()
        longer = Path(shutil.copytree(run, folder / f"longer-{name}"))
        export = ("--export", str(folder / "saved_model"), "--export-functions", "generate", "--overwrite")
        command("run", "--resume", str(longer), "--epochs", "3", *export)
        expected[name] = {"third_epoch": last_row(longer)}
        shutil.rmtree(longer)
        shutil.rmtree(run / "saved_model")
        command("evaluate", str(run), "--measures", "fid", "--images", "500", "--likelihood-images", "20")


def make_sweep(folder: Path) -> None:
    """A sweep of two members that was stopped after the first."""
    grid = ("--grid", "latent_dim=1,2", "--set", *SWEEP)
    command("sweep", "--model", "vae-mlp", *grid, "--out", str(folder / "sweeps"))
    sweep = folder / "sweeps" / "00001-vae-mlp"
    shutil.rmtree(sweep / "runs" / "00002-vae-mlp")
    shutil.rmtree(sweep / "runs" / "00001-vae-mlp" / "checkpoints")
    model = sweep / "runs" / "00001-vae-mlp" / "saved_model"
    description = (model / "description.json").read_text(encoding="utf-8")  # it shows that the member is finished
    shutil.rmtree(model)
    model.mkdir()
    (model / "description.json").write_text(description, encoding="utf-8")


def make_models(folder: Path, expected: dict) -> None:
    """A `.keras` file of each family, trained for a few steps so that its optimizers have a state."""
    import numpy as np

    import keras_gen

    split = keras_gen.data.load("digits").train
    images, labels = split.images[:40, ::2, ::2], split.labels[:40]
    for family, (recipe, overrides) in MODELS.items():
        model = keras_gen.zoo.build(recipe, images.shape[1:], seed=0, **overrides)
        if family in ("autoencoder", "wgan"):  # without a state, which takes most of the other files
            model.compile(**{name: "sgd" for name in model.get_compile_config() if name.endswith("optimizer")})
        model.fit(images, labels, batch_size=8, verbose=0)
        model.save(folder / f"{family}.keras")
        losses = model.evaluate(images, labels, batch_size=8, verbose=0, return_dict=True)
        expected[family] = {"losses": losses}
        if hasattr(model, "generate"):
            classes = {"labels": [3, 4]} if model.num_classes else {}
            expected[family]["mean_of_generated"] = float(np.mean(model.generate(2, seed=1, **classes)["images_float"]))


def clean(folder: Path) -> None:
    """Remove what is not read again, and paths of the machine that made the files."""
    for name in NOT_READ_AGAIN:
        for path in list(folder.rglob(name)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in folder.rglob("*.json"):
        text = path.read_text(encoding="utf-8").replace(str(folder), "/home/user").replace(str(ROOT), "/home/user")
        path.write_text(text, encoding="utf-8")


def main(version: str) -> None:
    """Write the archive of a version."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with tempfile.TemporaryDirectory() as temporary:
        folder, expected = Path(temporary) / version, {}
        os.environ["KERAS_GEN_CACHE"] = str(Path(temporary) / "cache")
        folder.mkdir()
        make_runs(folder, expected)
        make_sweep(folder)
        make_models(folder, expected)
        (folder / "expected.json").write_text(json.dumps(expected, indent=2) + "\n", encoding="utf-8")
        clean(folder)
        shutil.make_archive(str(Path(__file__).with_name(version)), "xztar", folder)


if __name__ == "__main__":
    main(sys.argv[1])

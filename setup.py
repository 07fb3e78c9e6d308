"""Put the small trained models of `saved_models/` into the package; everything else is in setup.cfg."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

LARGEST = 1_500_000
"""Bytes of the largest trained model that the package contains."""


class BuildWithModels(build_py):
    """Build the package with its trained models."""

    def run(self):
        """Copy the modules, then the models."""
        super().run()
        if self.editable_mode:  # the models beside the package are found
            return
        for model in sorted(Path("saved_models").glob("*/saved_model.pb")):
            folder = model.parent
            if sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < LARGEST:
                shutil.copytree(
                    folder, Path(self.build_lib, "keras_gen", "saved_models", folder.name), dirs_exist_ok=True
                )


setup(cmdclass={"build_py": BuildWithModels})

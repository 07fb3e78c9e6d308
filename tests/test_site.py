"""The site: it is built from the pages, cards and docstrings, without a broken link and without other sites."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import keras_gen
from keras_gen.utils import trained_models

ROOT = Path(keras_gen.__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    pytest.importorskip("mkdocstrings", reason="needs pip install 'keras-gen-zoo[site]'")
    folder = tmp_path_factory.mktemp("site")
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", "docs/site/mkdocs.yml", "-d", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "https_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return folder


def test_every_page_and_every_card_is_there(site):
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} | {"CHANGELOG", "CONTRIBUTING"}
    assert {path.parent.name for path in site.glob("*/index.html")} >= pages
    cards = {path.parent.name for path in site.glob(f"{trained_models.FOLDER}/*/index.html")}
    assert cards == {path.parent.name for path in (ROOT / trained_models.FOLDER).glob("*/README.md")}
    assert "keras_gen.models.vae.VAE" in (site / "reference" / "models" / "index.html").read_text("utf-8")


def test_nothing_is_loaded_from_other_sites(site):
    loads = r"<(?:script|link|img|source)\b[^>]*?\b(?:src|href|srcset)=[\"']?(?:https?:)?//[^\"' >]+"
    found = {page.name: re.findall(loads, page.read_text("utf-8")) for page in site.rglob("*.html")}
    assert {name: links for name, links in found.items() if links} == {}

"""The notebooks run from top to bottom, and are committed with their outputs."""

import json
import re
from pathlib import Path

import pytest

import keras_gen

ROOT = Path(keras_gen.__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MAX_BYTES = 600_000

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def text_of(cell):
    return "".join(cell["source"])


def test_there_are_five():
    assert [path.stem[:2] for path in NOTEBOOKS] == ["1_", "2_", "3_", "4_", "5_"]


@each_notebook
def test_outputs_are_committed_small_and_without_errors(path):
    assert path.stat().st_size < MAX_BYTES
    cells = code_cells(json.loads(path.read_text(encoding="utf-8")))
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert len(outputs) > 4
    texts = [str(output.get("text") or output.get("data", {}).get("text/plain")) for output in outputs]
    assert not [text for text in texts if "/tmp" in text or "/home" in text]  # of the machine that made them


@each_notebook
def test_it_opens_and_installs_on_colab_from_one_address_and_uses_a_gpu(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    [address] = re.findall(r'^REPOSITORY = "https://github.com/(.+)"$', text_of(code_cells(notebook)[0]), re.MULTILINE)
    first = text_of(notebook["cells"][0])
    assert f"colab.research.google.com/github/{address}/blob/main/notebooks/{path.name}" in first
    assert f"notebooks/{path.name}" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert sum('list_physical_devices("GPU")' in text_of(cell) for cell in code_cells(notebook)) == 1


def test_the_listed_models_are_those_of_the_zoo_with_their_scores():
    notebook = json.loads((ROOT / "notebooks" / "2_sample_the_zoo.ipynb").read_text(encoding="utf-8"))
    texts = ["".join(output.get("text", "")) for cell in code_cells(notebook) for output in cell["outputs"]]
    [listing] = [text for text in texts if "fd_lenet" in text]
    listed = {line.split()[0]: line.split()[-1] for line in listing.splitlines()}
    models = {model.name: model for model in keras_gen.zoo.pretrained()}
    assert listed.keys() == models.keys()
    for name, model in models.items():
        if scores := [value for score, value in model.scores.items() if score.startswith("fd_")]:
            assert listed[name] == f"{scores[0]:.2f}"


@pytest.mark.slow
@each_notebook
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="needs pip install 'keras-gen-zoo[notebooks]'")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": tmp_path}}).execute()

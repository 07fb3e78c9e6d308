"""Published models on a hub: uploading, downloading, and the metadata of their cards."""

import shutil
import sys
import types

import numpy as np
import publishing_helpers
import pytest
from command_helpers import call

from keras_gen import UsageError, publishing, zoo
from keras_gen.utils import hub

runs, published = publishing_helpers.runs, publishing_helpers.published


@pytest.fixture
def hub_stand_in(monkeypatch, tmp_path):
    """A stand-in for huggingface_hub, whose repositories are folders; none of these tests has a network."""
    repositories, calls = tmp_path / "hub", []

    class Api:
        def create_repo(self, name, exist_ok):
            assert exist_ok
            (repositories / name).mkdir(parents=True, exist_ok=True)

        def upload_folder(self, folder_path, repo_id, commit_message):
            calls.append(commit_message)
            shutil.copytree(folder_path, repositories / repo_id, dirs_exist_ok=True)

    def snapshot_download(name):
        calls.append(name)
        if not (repositories / name).is_dir():
            raise OSError(f"404: there is no {name}")
        return str(repositories / name)

    module = types.ModuleType("huggingface_hub")
    module.HfApi, module.snapshot_download = Api, snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    hub.download.cache_clear()
    yield repositories, calls
    hub.download.cache_clear()


def test_a_published_model_goes_to_the_hub_and_comes_back(published, hub_stand_in, tmp_path, monkeypatch):
    repositories, calls = hub_stand_in
    publishing.push(published.path, "hf://somebody/mine")
    assert (repositories / "somebody" / "mine" / "README.md").is_file()
    with pytest.raises(UsageError, match="options must be left out, since .* is already published, received: 'note'"):
        publishing.push(published.path, "hf://somebody/mine", note="new")
    calls.clear()
    loaded = zoo.load("hf://somebody/mine")
    assert calls == ["somebody/mine"]
    expected = zoo.load(published.path).generate(4, seed=1)["images"]
    np.testing.assert_array_equal(loaded.generate(4, seed=1)["images"], expected)
    monkeypatch.chdir(tmp_path)
    outcome = call("sample", "hf://somebody/mine", "--num", "4", "--seed", "1", "--out", "images.npz")
    assert outcome.code == 0, outcome.err
    np.testing.assert_array_equal(np.load("images.npz")["images"], expected)


def test_a_run_is_published_on_its_way_to_the_hub(runs, hub_stand_in, tmp_path):
    publishing.push(runs[0], "hf://somebody/fresh", license="apache-2.0")
    record = publishing.read(hub_stand_in[0] / "somebody" / "fresh").record
    assert (record.name, record.license) == ("fresh", "apache-2.0")
    outcome = call("publish", runs[0], "--out", tmp_path / "models", "--push", "hf://somebody/again")
    assert outcome.out.endswith("uploaded to hf://somebody/again\n")
    assert (hub_stand_in[0] / "somebody" / "again" / "record.json").is_file()


def test_a_wrong_address_or_a_failure_of_the_hub_is_one_line(runs, hub_stand_in, monkeypatch):
    for address in ("hf://somebody", "hf://a/b/c", "s3://a/b"):
        with pytest.raises(UsageError, match="address must be of the form hf://user/name"):
            publishing.push(runs[0], address)
    assert "address must be of the form hf://user/name" in call("publish", runs[0], "--push", "nowhere").error
    with pytest.raises(
        UsageError, match="hf://somebody/else can't be downloaded: OSError: 404: there is no somebody/else"
    ):
        zoo.load("hf://somebody/else")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match="hf:// addresses need huggingface_hub: pip install huggingface_hub"):
        zoo.load("hf://somebody/else")


def test_the_metadata_of_a_card_has_its_results(published):
    yaml = pytest.importorskip("yaml")
    metadata = yaml.safe_load((published.path / "README.md").read_text(encoding="utf-8").split("---")[1])
    [model] = metadata["model-index"]
    [result] = model["results"]
    assert (model["name"], result["dataset"]["name"]) == ("mine", "digits")
    found = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert found == pytest.approx(published.record.exported_scores, rel=1e-5)  # of these weights, as they are stored

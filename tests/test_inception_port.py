"""The weights of the Inception of 2015 in PyTorch's format: the file's reader, the network, what it agrees with."""

import collections
import importlib
import io
import pickle
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from inception_helpers import GOLDENS, SETS, GraphWriter, picture_set, pictures, random_weights

from keras_gen.metrics import fid
from keras_gen.metrics.extractors import Inception2015, choose, inception_2015_network, torch_files, weight_files
from keras_gen.utils.errors import UsageError

TORCH_FILE = GOLDENS / "torch_tensors.pth"


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    for name in ("KERAS_GEN_CACHE", "KERAS_HOME", "TORCH_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


@pytest.fixture(scope="module")
def weights():
    return random_weights()


@pytest.fixture(scope="module")
def network(weights):
    return inception_2015_network.build(weights)


def values_of(network, images):
    return [part.numpy() for part in network(tf.constant(images))]


def close(found, expected, tolerance=1e-4):
    """Check that arrays agree to the tolerance, relative to the typical size of their values."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).mean())


# The reader


def test_tensors_of_a_file_by_pytorch_are_read():
    read = torch_files.read_tensors(TORCH_FILE.read_bytes())
    expected = {
        "whole": np.arange(12, dtype=np.float32).reshape(3, 4),
        "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "part": np.float32([4, 5, 6]),
        "number": np.int64(7),
    }
    assert list(read) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(read[name], values)
        assert read[name].dtype == values.dtype


@pytest.mark.parametrize("end", [0, 10, 200, 600, -1])
def test_a_file_that_was_cut_off_is_refused(end):
    with pytest.raises(ValueError, match="^its values do not|^it is (damaged or not such a file|in another format)"):
        torch_files.read_tensors(TORCH_FILE.read_bytes()[:end])


def legacy_file(tensors, keys=("0",)):
    """Return a file like PyTorch's with anything in place of the tensors."""
    parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, tensors, list(keys))
    return b"".join(pickle.dumps(part, protocol=2) for part in parts)


class Evil:
    def __reduce__(self):
        return print, ("executed",)


def test_nothing_else_is_unpickled(capsys):
    for content in (Evil(), {"a": Evil()}, collections.Counter(), types.SimpleNamespace()):
        with pytest.raises(ValueError, match="which is not a tensor"):
            torch_files.read_tensors(legacy_file(content))
    assert capsys.readouterr().out == ""
    for content in (3, [1], {"a": 1}, None):
        with pytest.raises(ValueError, match="damaged or not such a file"):
            torch_files.read_tensors(legacy_file(content))


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(0, (5,), (1,)), (3, (2,), (1,)), (0, (2, 2), (3, 1)), (-1, (2,), (1,)), (3, (2,), (-1,)), (0, (-1,), (1,))],
)
def test_a_tensor_outside_of_its_values_is_refused(offset, shape, strides):
    storage = torch_files._Storage("FloatStorage", "0", 4)
    with pytest.raises(ValueError, match="is not within its values"):
        torch_files._Tensor(storage, offset, shape, strides).array({"0": np.zeros(4, np.float32)})


# The network


def test_features_and_logits_are_those_of_torch_fidelity(network):
    expected = np.load(GOLDENS / "inception_2015_port.npz")
    features, logits = values_of(network, pictures(4, 48, 64))
    close(features[:, ::8], expected["features"])
    close(logits[:, ::8], expected["logits"])


def test_missing_weights_are_named(weights):
    for name in ("Mixed_6c.branch7x7dbl_4.bn.running_var", "fc.weight"):
        with pytest.raises(ValueError, match=f"^it has no {name}$"):
            inception_2015_network.build({key: value for key, value in weights.items() if key != name})


@pytest.mark.slow
def test_the_graph_of_2015_with_the_same_weights_agrees(weights, network, tmp_path):
    path = tmp_path / "graph.pb"
    path.write_bytes(full_graph(weights))
    graph = Inception2015(path)
    for shape in ((28, 28), (64, 48), (400, 400)):
        images = pictures(4, *shape)
        for found, expected in zip(values_of(network, images), graph(images), strict=True):
            close(found, expected)


def full_graph(weights):
    """Return a graph of 2015 with all 94 convolutions, written operation by operation."""
    writer = GraphWriter()
    real = writer.tf.float32
    writer.node("Input", "Placeholder", dtype=real)
    writer.preprocessing("Input")

    def convolution(source, name, stride=1, padding="SAME"):
        keys = {"moving_mean": "running_mean", "moving_variance": "running_var", "beta": "bias", "gamma": "weight"}
        norm = {key: weights[f"{name}.bn.{own}"] for key, own in keys.items()}
        kernel = weights[f"{name}.conv.weight"].transpose(2, 3, 1, 0)
        writer.layer(name, source, kernel, norm, stride, scale=True, padding=padding)
        return name

    def pool(source, name, kind="AvgPool", stride=1, padding="SAME", size=3):
        options = {"ksize": [1, size, size, 1], "strides": [1, stride, stride, 1]}
        writer.node(name, kind, source, T=real, padding=padding, **options)
        return name

    def join(name, *sources):
        writer.constant(f"{name}/axis", np.int32(3))
        writer.node(name, "ConcatV2", *sources, f"{name}/axis", T=real, Tidx=writer.tf.int32, N=len(sources))
        return name

    x = convolution("Mul", "Conv2d_1a_3x3", 2, "VALID")
    x = convolution(x, "Conv2d_2a_3x3", padding="VALID")
    x = pool(convolution(x, "Conv2d_2b_3x3"), "pool", "MaxPool", 2, "VALID")
    x = convolution(convolution(x, "Conv2d_3b_1x1"), "Conv2d_4a_3x3", padding="VALID")
    x = pool(x, "pool_1", "MaxPool", 2, "VALID")
    for block in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        one = convolution(x, f"{block}.branch1x1")
        five = convolution(convolution(x, f"{block}.branch5x5_1"), f"{block}.branch5x5_2")
        three = convolution(convolution(x, f"{block}.branch3x3dbl_1"), f"{block}.branch3x3dbl_2")
        three = convolution(three, f"{block}.branch3x3dbl_3")
        pooled = convolution(pool(x, f"{block}/pool"), f"{block}.branch_pool")
        x = join(block, one, five, three, pooled)
    three = convolution(convolution(x, "Mixed_6a.branch3x3dbl_1"), "Mixed_6a.branch3x3dbl_2")
    three = convolution(three, "Mixed_6a.branch3x3dbl_3", 2, "VALID")
    one = convolution(x, "Mixed_6a.branch3x3", 2, "VALID")
    x = join("Mixed_6a", one, three, pool(x, "Mixed_6a/pool", "MaxPool", 2, "VALID"))
    for block in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
        one, seven, twice = convolution(x, f"{block}.branch1x1"), x, x
        for index in (1, 2, 3):
            seven = convolution(seven, f"{block}.branch7x7_{index}")
        for index in (1, 2, 3, 4, 5):
            twice = convolution(twice, f"{block}.branch7x7dbl_{index}")
        x = join(block, one, seven, twice, convolution(pool(x, f"{block}/pool"), f"{block}.branch_pool"))
    three = convolution(convolution(x, "Mixed_7a.branch3x3_1"), "Mixed_7a.branch3x3_2", 2, "VALID")
    seven = convolution(convolution(x, "Mixed_7a.branch7x7x3_1"), "Mixed_7a.branch7x7x3_2")
    seven = convolution(convolution(seven, "Mixed_7a.branch7x7x3_3"), "Mixed_7a.branch7x7x3_4", 2, "VALID")
    x = join("Mixed_7a", three, seven, pool(x, "Mixed_7a/pool", "MaxPool", 2, "VALID"))
    for block, kind in (("Mixed_7b", "AvgPool"), ("Mixed_7c", "MaxPool")):
        one, three = convolution(x, f"{block}.branch1x1"), convolution(x, f"{block}.branch3x3_1")
        twice = convolution(convolution(x, f"{block}.branch3x3dbl_1"), f"{block}.branch3x3dbl_2")
        ends = [convolution(three, f"{block}.branch3x3_2{each}") for each in "ab"]
        ends += [convolution(twice, f"{block}.branch3x3dbl_3{each}") for each in "ab"]
        x = join(block, one, *ends, convolution(pool(x, f"{block}/pool", kind), f"{block}.branch_pool"))
    pool(x, "pool_3", padding="VALID", size=8)
    writer.constant("pool_3/_reshape/shape", np.int32([1, 2048]))
    writer.node("pool_3/_reshape", "Reshape", "pool_3", "pool_3/_reshape/shape", T=real, Tshape=writer.tf.int32)
    writer.constant("softmax/weights", weights["fc.weight"].T)
    writer.node("softmax/logits/MatMul", "MatMul", "pool_3/_reshape", "softmax/weights", T=real)
    return writer.graph.SerializeToString()


# The file


@pytest.fixture
def port(weights, tmp_path, monkeypatch):
    """Path of a file with random weights, which is taken for the published one."""
    path = tmp_path / "weights.pth"
    path.write_bytes(torch_file(weights, monkeypatch))
    monkeypatch.setattr(weight_files, "INCEPTION_2015_PORT_SHA256", weight_files.digest(path))
    return path


def torch_file(weights, monkeypatch):
    """Return a file as PyTorch writes it, without PyTorch."""
    package, utilities = types.ModuleType("torch"), types.ModuleType("torch._utils")

    class FloatStorage:
        """The name of a kind of values."""

    def _rebuild_tensor_v2():
        """The name of a function."""

    for name, value, module in (
        ("FloatStorage", FloatStorage, package),
        ("_rebuild_tensor_v2", _rebuild_tensor_v2, utilities),
    ):
        value.__module__, value.__qualname__ = module.__name__, name
        setattr(module, name, value)
    monkeypatch.setitem(sys.modules, "torch", package)
    monkeypatch.setitem(sys.modules, "torch._utils", utilities)

    class Tensor:
        def __init__(self, name, values):
            self.name, self.values = name, values

        def __reduce__(self):
            strides = tuple(stride // 4 for stride in self.values.strides)
            hooks = collections.OrderedDict()
            return _rebuild_tensor_v2, (Storage(self.name, self.values), 0, self.values.shape, strides, False, hooks)

    class Storage:
        def __init__(self, name, values):
            self.identifier = ("storage", FloatStorage, name, "cpu", values.size, None)

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return value.identifier if isinstance(value, Storage) else None

    file = io.BytesIO()
    tensors = {name: Tensor(name, values) for name, values in weights.items()}
    for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, tensors, list(weights)):
        Pickler(file, protocol=2).dump(part)
    for values in weights.values():
        file.write(np.int64(values.size).tobytes() + values.tobytes())
    return file.getvalue()


def test_the_file_is_found_in_the_folders_of_torch_hub_and_of_ours(port, tmp_path, weights, network, monkeypatch):
    read, name = [], weight_files.INCEPTION_2015_PORT[0]
    monkeypatch.setattr(inception_2015_network, "build", lambda weights: read.append(weights) or network)
    given = Inception2015(port)
    assert given.sha256 == weight_files.INCEPTION_2015_PORT_SHA256
    assert given(pictures(1, 20, 20)).logits.shape == (1, 1008)
    assert read[0].keys() == weights.keys()
    assert all(np.array_equal(read[0][key], values) for key, values in weights.items())
    folder = tmp_path / "TORCH_HOME" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    port.rename(folder / name)
    assert choose("folder", (64, 64, 3)) == ("inception-2015", f"its weights are in {folder / name}")
    assert Inception2015().description() == given.description()
    (tmp_path / "KERAS_GEN_CACHE").mkdir(exist_ok=True)
    (folder / name).rename(tmp_path / "KERAS_GEN_CACHE" / weight_files.INCEPTION_2015_PORT[1])
    assert Inception2015().sha256 == given.sha256


def test_another_file_than_the_published_one_is_refused(tmp_path):
    path = tmp_path / "other.pth"
    path.write_bytes(TORCH_FILE.read_bytes())
    with pytest.raises(UsageError, match="weights must be .*, or pt_inception-2015-12-05-6726825d.pth.*SHA-256 is"):
        Inception2015(path)
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(UsageError, match="weights must be .*, or pt_inception-2015-12-05-6726825d.pth"):
        Inception2015(path)


def test_a_file_of_other_tensors_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(weight_files, "INCEPTION_2015_PORT_SHA256", weight_files.digest(TORCH_FILE))
    with pytest.raises(UsageError, match="it has no Conv2d_1a_3x3.conv.weight"):
        Inception2015(TORCH_FILE)


# Against PyTorch, where it is installed: python -m pip install -e '.[reference]'


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch_fidelity") is None, reason="needs the extra `reference`")
def test_features_and_fid_are_those_of_torch_fidelity_from_its_own_file(tmp_path, monkeypatch):
    program = Path(__file__).with_name("reference_inception.py")
    subprocess.run([sys.executable, program, tmp_path], check=True)
    path = tmp_path / "weights.pth"
    monkeypatch.setattr(weight_files, "INCEPTION_2015_PORT_SHA256", weight_files.digest(path))
    ours = Inception2015(path)
    found = [ours(picture_set(shape)) for shape in SETS]
    for index, each in enumerate(found):
        expected = np.load(tmp_path / f"{index}.npz")
        close(each.features, expected["features"])
        close(each.logits, expected["logits"])
    distance = float((tmp_path / "fid.txt").read_text())
    assert fid(found[0].features, found[1].features) == pytest.approx(distance, rel=1e-4)

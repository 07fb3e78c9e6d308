"""Tests of the Inception extractor of 2015: a small graph of the same structure against NumPy, files, damage."""

import hashlib
import io
import tarfile

import numpy as np
import pytest
from inception_helpers import EPSILON, GraphWriter

from keras_gen.metrics.extractors import Inception2015, build, choose
from keras_gen.utils.errors import DataUnavailableError, UsageError

CHANNELS, DIMENSIONS, CLASSES = 4, 2048, 1008
STRIDE = 37
ARCHIVE, GRAPH = "inception-2015-12-05.tgz", "classify_image_graph_def.pb"


class Weights:
    """Weights of the small network: convolutions, normalizations (with and without γ), the last layer."""

    def __init__(self):
        generator = np.random.default_rng(0)
        self.kernel_1 = generator.normal(size=(3, 3, 3, CHANNELS)).astype("float32")
        self.kernel_2 = generator.normal(size=(1, 1, CHANNELS, DIMENSIONS)).astype("float32")
        self.norms = [self._norm(generator, CHANNELS), self._norm(generator, DIMENSIONS)]
        self.matrix = generator.normal(size=(DIMENSIONS, CLASSES)).astype("float32")
        self.biases = generator.normal(size=CLASSES).astype("float32")

    @staticmethod
    def _norm(generator, size):
        mean, beta = generator.normal(size=(2, size)).astype("float32")
        variance, gamma = generator.uniform(0.5, 2, size=(2, size)).astype("float32")
        return {"moving_mean": mean, "moving_variance": variance, "beta": beta, "gamma": gamma}


def graph_of(weights, leave_out=()):
    """Return a graph with the names and structure of the published one, but two layers instead of ninety-four."""
    writer = GraphWriter()
    real, tf = writer.tf.float32, writer.tf
    pixels = tf.io.encode_jpeg(np.zeros((5, 5, 3), "uint8")).numpy()
    writer.constant("DecodeJpeg/contents", pixels)
    writer.node("DecodeJpeg", "DecodeJpeg", "DecodeJpeg/contents", channels=3)
    writer.node("Cast", "Cast", "DecodeJpeg", SrcT=tf.uint8, DstT=real)
    writer.preprocessing("Cast")
    writer.layer("conv", "Mul", weights.kernel_1, weights.norms[0], STRIDE, scale=True)
    writer.layer("conv_1", "conv", weights.kernel_2, weights.norms[1], 1, scale=False)
    writer.node("pool_3", "AvgPool", "conv_1", T=real, ksize=[1, 9, 9, 1], strides=[1, 1, 1, 1], padding="VALID")
    writer.constant("pool_3/_reshape/shape", np.int32([1, DIMENSIONS]))
    writer.node("pool_3/_reshape", "Reshape", "pool_3", "pool_3/_reshape/shape", T=real, Tshape=tf.int32)
    writer.constant("softmax/weights", weights.matrix)
    writer.constant("softmax/biases", weights.biases)
    writer.node("softmax/logits/MatMul", "MatMul", "pool_3/_reshape", "softmax/weights", T=real)
    writer.node("softmax/logits", "BiasAdd", "softmax/logits/MatMul", "softmax/biases", T=real)
    writer.node("softmax", "Softmax", "softmax/logits", T=real)
    kept = [node for node in writer.graph.node if node.name not in leave_out]
    return tf.compat.v1.GraphDef(node=kept).SerializeToString()


def archive_of(graph, name=GRAPH):
    """Return an archive like the published one, with another member before the graph."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member, content in (("LICENSE", b"terms"), (name, graph)):
            header = tarfile.TarInfo(member)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return buffer.getvalue()


def resized(images, size=299):
    """Resize bilinearly like TensorFlow 1: output i reads input i · (input size / output size), corners not aligned."""
    for axis in (1, 2):
        length = images.shape[axis]
        position = np.arange(size) * (length / size)
        low = np.floor(position).astype(int)
        high = np.minimum(low + 1, length - 1)
        shape = [1, 1, 1, 1]
        shape[axis] = size
        weight = (position - low).reshape(shape)
        images = images.take(low, axis) * (1 - weight) + images.take(high, axis) * weight
    return images


def expected_of(weights, images):
    """Compute features and logits in NumPy, in float64."""
    x = (resized(np.repeat(images, 4 - images.shape[-1], -1)[..., :3].astype(float)) - 128) / 128
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::STRIDE, ::STRIDE]
    x = np.einsum("nhwcij,ijco->nhwo", windows, weights.kernel_1.astype(float))
    norm = weights.norms[0]
    x = (x - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + EPSILON) * norm["gamma"] + norm["beta"]
    x = np.maximum(x, 0) @ weights.kernel_2[0, 0].astype(float)
    norm = weights.norms[1]
    x = (x - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + EPSILON) + norm["beta"]  # γ is not applied
    features = np.maximum(x, 0).mean((1, 2))
    return features, features @ weights.matrix


@pytest.fixture(scope="module")
def weights():
    return Weights()


@pytest.fixture(scope="module")
def graph(weights):
    return graph_of(weights)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_GEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "cache"


@pytest.fixture
def archive(tmp_path, graph):
    path = tmp_path / ARCHIVE
    path.write_bytes(archive_of(graph))
    return path


@pytest.fixture(scope="module")
def extractor(graph, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("graph")
        patch.setenv("KERAS_GEN_CACHE", str(folder / "cache"))
        (folder / GRAPH).write_bytes(graph)
        return Inception2015(folder / GRAPH)


LARGE = [(1, 299, 299, 3), (2, 32, 32, 3), (2, 400, 400, 3)]
"""299 × 299 is not resized."""


@pytest.mark.parametrize(
    "shape", [(3, 28, 28, 1), (2, 64, 48, 3), *(pytest.param(shape, marks=pytest.mark.slow) for shape in LARGE)]
)
def test_features_and_logits_are_the_formulas(extractor, weights, shape):
    images = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    features, logits = extractor(images)
    expected_features, expected_logits = expected_of(weights, images)
    assert features.dtype == logits.dtype == np.float32
    assert np.ptp(expected_features) > 1
    np.testing.assert_allclose(features, expected_features, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(logits, expected_logits, rtol=1e-4, atol=1e-5 * np.abs(expected_logits).max())


def test_the_archive_and_the_file_in_it_are_the_same_weights(archive, graph, tmp_path, extractor):
    images = np.full((1, 8, 8, 1), 77, np.uint8)
    packed = Inception2015(archive)
    (tmp_path / "any.pb").write_bytes(graph)
    bare = build("inception-2015", tmp_path / "any.pb")
    assert packed.sha256 == bare.sha256 == hashlib.sha256(graph).hexdigest()
    np.testing.assert_array_equal(packed(images).features, extractor(images).features)
    assert packed.description() == {
        "name": "inception-2015",
        "sha256": packed.sha256,
        "dimensions": 2048,
        "num_classes": 1008,
        "resize": "bilinear to 299 x 299 by the graph itself (TensorFlow 1: legacy corners, no antialiasing)",
        "precision": "float32",
    }


def test_it_is_found_in_the_cache_folder_and_then_chosen(archive, cache):
    with pytest.raises(DataUnavailableError, match="weights of inception-2015 are not in .*--extractor-weights PATH"):
        Inception2015()
    cache.mkdir()
    archive.rename(cache / ARCHIVE)
    assert choose("folder", (64, 64, 3)) == ("inception-2015", f"its weights are in {cache / ARCHIVE}")
    assert Inception2015().sha256


def test_other_weights_than_at_first_use_are_refused_until_the_record_is_deleted(archive, cache, tmp_path):
    first = Inception2015(archive).sha256
    changed = Weights()
    changed.biases += 1
    other = tmp_path / "other.pb"
    other.write_bytes(graph_of(changed))
    found = hashlib.sha256(other.read_bytes()).hexdigest()
    record = cache / "weights.json"
    with pytest.raises(UsageError, match="differ from those first used") as raised:
        Inception2015(other)
    for part in (str(other), first, found, f"delete the entry inception-2015 in {record}"):
        assert part in str(raised.value)
    assert "\n" not in str(raised.value)
    record.unlink()
    assert Inception2015(other).sha256 == found != first


DAMAGES = {
    "html": (lambda graph: b"<!DOCTYPE html><html>not found</html>", "no TensorFlow graph"),
    "empty": (lambda graph: b"", "its graph has no ExpandDims, pool_3, softmax/logits/MatMul"),
    "cut graph": (lambda graph: graph[:-1000], "no TensorFlow graph"),
    "cut archive": (lambda graph: archive_of(graph)[:-5000], "end-of-stream|end of file|unexpected"),
    "damaged archive": (lambda graph: b"\x1f\x8b" + archive_of(graph)[12:], ""),
    "other archive": (lambda graph: archive_of(graph, "other.pb"), f"no {GRAPH} in it"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_other_file_is_one_line_and_not_recorded(tmp_path, cache, graph, damage):
    make, reason = DAMAGES[damage]
    path = tmp_path / "file"
    path.write_bytes(make(graph))
    with pytest.raises(UsageError, match=f"weights must be {ARCHIVE}, the {GRAPH} in it.*({reason})") as raised:
        Inception2015(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)
    assert not (cache / "weights.json").exists()


def test_a_graph_without_an_operation_or_with_other_shapes_is_refused(tmp_path, weights):
    path = tmp_path / "file.pb"
    path.write_bytes(graph_of(weights, leave_out=("pool_3",)))
    with pytest.raises(UsageError, match="its graph has no pool_3"):
        Inception2015(path)
    path.write_bytes(graph_of(weights, leave_out=("softmax/weights",)))
    with pytest.raises(UsageError, match="softmax/weights"):
        Inception2015(path)
    small = Weights()
    small.matrix, small.biases = small.matrix[:, :10], small.biases[:10]
    path.write_bytes(graph_of(small))
    with pytest.raises(UsageError, match=r"weights after it of \(2048, 10\)"):
        Inception2015(path)


@pytest.mark.parametrize("kind", ["writes", "reads", "functions"])
def test_a_graph_that_does_more_than_compute_is_refused_and_does_nothing(tmp_path, weights, kind):
    writer = GraphWriter()
    writer.graph.ParseFromString(graph_of(weights))
    writer.constant("file", str(tmp_path / "written"))
    if kind == "writes":
        writer.node("more", "WriteFile", "file", "file")
    elif kind == "reads":
        writer.node("more", "ReadFile", "file")
    else:
        writer.graph.library.function.add().signature.name = "hidden"
    next(node for node in writer.graph.node if node.name == "pool_3").input.extend(["^more"] * (kind != "functions"))
    path = tmp_path / "file.pb"
    path.write_bytes(writer.graph.SerializeToString())
    with pytest.raises(UsageError, match="its graph has (an operation (Write|Read)File|functions)"):
        Inception2015(path)
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("operation", ["DebugIdentityV3", "ImmutableConst", "GenerateVocabRemapping", "PyFunc", "None"])
def test_only_the_networks_own_operations_are_accepted(tmp_path, weights, operation):
    writer = GraphWriter()
    writer.graph.ParseFromString(graph_of(weights))
    writer.node("more", operation)
    path = tmp_path / "file.pb"
    path.write_bytes(writer.graph.SerializeToString())
    with pytest.raises(UsageError, match=f"its graph has an operation {operation}"):
        Inception2015(path)


def test_bfloat16_is_close_to_float32(archive, extractor):
    images = np.random.default_rng(2).integers(0, 256, (3, 32, 32, 3), np.uint8)
    rough = Inception2015(archive, precision="bfloat16")
    exact, near = extractor(images), rough(images)
    for expected, found in zip(exact, near, strict=True):
        assert found.dtype == np.float32
        assert np.abs(found - expected).mean() < 0.02 * np.abs(expected).mean()
    assert rough.description()["precision"] == "bfloat16" != extractor.description()["precision"]
    assert rough.sha256 == extractor.sha256

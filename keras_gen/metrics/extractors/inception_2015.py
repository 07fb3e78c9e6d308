"""Inception network of 2015, with which published FIDs and Inception Scores are measured."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import zlib
from pathlib import Path

from keras_gen.metrics.extractors import torch_files, weight_files
from keras_gen.metrics.extractors.base import DownloadedExtractor
from keras_gen.utils.errors import UsageError, must_be, one_line

GRAPH_FILE = "classify_image_graph_def.pb"

_MAX_BYTES = 1 << 28  # the graph has less than 100 MB; a file with more is cut off, which is no graph
_OPERATIONS = frozenset(
    "Add AddV2 AvgPool BatchNormWithGlobalNormalization BiasAdd Cast CheckNumerics Concat ConcatV2 Const Conv2D "
    "DecodeJpeg ExpandDims Identity MatMul MaxPool Mul NoOp Placeholder Relu Reshape ResizeBilinear Softmax Squeeze "
    "Sub".split()
)
"""Operations that the graph may have. A graph is a program: others may read and write files."""

_INPUT, _POOLED, _LOGITS = "ExpandDims", "pool_3", "softmax/logits/MatMul"


class Inception2015(DownloadedExtractor):
    """Extractor with the Inception v3 of December 2015: 2048 pooled features, and logits of 1008 outputs.

    The graph's own preprocessing is used: bilinear resizing to 299 x 299 as in TensorFlow 1 (corners not aligned,
    pixel centers not at halves, no antialiasing), then (x − 128) / 128. `features` is its `pool_3`, as in the code of
    Heusel et al. 2017 (arXiv:1706.08500). `logits` is `pool_3` times the weights of its last layer, without the bias,
    as in the code of Salimans et al. 2016 (arXiv:1606.03498). Gray images are repeated to 3 channels.

    The graph normalizes with an operation that `tf.function` no longer supports. It is replaced by the current one,
    which computes the same: (x − mean) / √(variance + ε) + β. From the weights that pytorch-fid and torch-fidelity use,
    which were taken from the graph, the same network is built in Keras. Their file is read without PyTorch.

    Args:
        weights: path of `inception-2015-12-05.tgz`, of the `classify_image_graph_def.pb` in it, or of
            `pt_inception-2015-12-05-6726825d.pth` (torch-fidelity's `weights-inception-2015-12-05-6726825d.pth` is the
            same). Defaults to the file in `keras_gen.metrics.extractors.cache_folder()`, or in that of torch.hub.
        download, precision: as in `DownloadedExtractor`; the first file is downloaded.

    Raises:
        UsageError, DataUnavailableError: as in `DownloadedExtractor`, for a graph with other weights than first used
            here, or for a file of PyTorch with another SHA-256 than the published one.

    Example:
        >>> extractor = Inception2015(download=True)  # doctest: +SKIP
        >>> extractor(np.zeros((2, 32, 32, 3), "uint8")).features.shape  # doctest: +SKIP
        (2, 2048)
    """

    source = weight_files.INCEPTION_2015
    name = "inception-2015"
    dimensions = 2048
    num_classes = 1008
    resize = "bilinear to 299 x 299 by the graph itself (TensorFlow 1: legacy corners, no antialiasing)"

    def _load(self, path: Path):
        with open(path, "rb") as file:
            if file.read(len(torch_files.MAGIC)) == torch_files.MAGIC:
                self.resize = "bilinear to 299 x 299 as by the graph of 2015 (legacy corners, no antialiasing)"
                return _load_port(path)
        content = _read_graph(path)
        # The hash of the graph, so that the archive and the file in it count as the same weights.
        sha256 = hashlib.sha256(content).hexdigest()
        network = _load_graph(path, content)
        weight_files.check_unchanged(self.source, path, sha256)
        return network, sha256


def _load_port(path: Path):
    """Return the network with the weights of a file of PyTorch, and the file's SHA-256."""
    from keras_gen.metrics.extractors import inception_2015_network

    sha256 = weight_files.digest(path)
    if sha256 != weight_files.INCEPTION_2015_PORT_SHA256:
        raise _wrong_weights(path, f"its SHA-256 is {sha256}, not {weight_files.INCEPTION_2015_PORT_SHA256}")
    try:
        return inception_2015_network.build(torch_files.read_tensors(path.read_bytes())), sha256
    except ValueError as error:
        raise _wrong_weights(path, one_line(error)) from error


def _read_graph(path: Path) -> bytes:
    """Return the bytes of the graph, from an archive or from a file of its own."""
    try:
        with open(path, "rb") as file:
            if file.read(2) != b"\x1f\x8b":
                file.seek(0)
                return file.read(_MAX_BYTES)
        with gzip.open(path) as packed:
            unpacked = io.BytesIO(packed.read(_MAX_BYTES))  # tarfile believes headers of any size
        with tarfile.open(fileobj=unpacked, mode="r:") as archive:
            for member in archive:
                if os.path.basename(member.name) == GRAPH_FILE and member.isfile():
                    return archive.extractfile(member).read(_MAX_BYTES)
    except (OSError, ValueError, tarfile.TarError, EOFError, zlib.error) as error:
        raise _wrong_weights(path, one_line(error)) from error
    raise _wrong_weights(path, f"no {GRAPH_FILE} in it")


def _load_graph(path: Path, content: bytes):
    """Return a function from uint8 images `(n, H, W, 3)` to features and logits, from the graph in `content`."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    graph_def = tf.compat.v1.GraphDef()
    try:
        graph_def.ParseFromString(content)
    except DecodeError as error:
        raise _wrong_weights(path, "no TensorFlow graph") from error
    if missing := [name for name in (_INPUT, _POOLED, _LOGITS) if name not in {node.name for node in graph_def.node}]:
        raise _wrong_weights(path, "its graph has no " + ", ".join(missing))
    if graph_def.library.function:
        raise _wrong_weights(path, "its graph has functions")
    # Before the import, which computes constants.
    if forbidden := {node.op for node in graph_def.node} - _OPERATIONS:
        raise _wrong_weights(path, f"its graph has an operation {min(forbidden)}"[:200])
    graph_def = _modernized(graph_def)

    def extract(images):
        pooled, logits = tf.compat.v1.import_graph_def(
            graph_def,
            input_map={f"{_INPUT}:0": tf.cast(images, tf.float32)},
            return_elements=[f"{_POOLED}:0", _LOGITS],
            name="",
        )
        matrix = logits.inputs[1]
        expected = [1, 1, Inception2015.dimensions], [Inception2015.dimensions, Inception2015.num_classes]
        if (pooled.shape[1:], matrix.shape) != tuple(map(tf.TensorShape, expected)):
            raise ValueError(f"pool_3 is of shape {pooled.shape} and the weights after it of {matrix.shape}")
        # The graph's own reshape works for a single image only.
        features = tf.squeeze(pooled, [1, 2])
        return features, tf.matmul(features, matrix)

    try:
        wrapped = tf.compat.v1.wrap_function(extract, [tf.TensorSpec((None, None, None, 3), tf.uint8)])
        return wrapped.prune(wrapped.inputs, wrapped.structured_outputs)
    except (ValueError, TypeError, KeyError, IndexError, tf.errors.OpError) as error:
        raise _wrong_weights(path, one_line(error)[:200]) from error


def _modernized(graph_def):
    """Replace operations that current TensorFlow functions reject or can't optimize across."""
    import tensorflow as tf

    modern = tf.compat.v1.GraphDef()
    modern.versions.producer = tf.version.GRAPH_DEF_VERSION
    for node in graph_def.node:
        new = modern.node.add()
        new.CopyFrom(node)
        if node.op == "BatchNormWithGlobalNormalization":  # removed in graph version 9
            _normalize(modern, new)
        elif node.op == "CheckNumerics":  # the features are checked at the end
            new.op = "Identity"
            del new.attr["message"]
    return modern


def _normalize(graph_def, node) -> None:
    images, mean, variance, beta, gamma, *controls = node.input
    if not node.attr["scale_after_normalization"].b:
        gamma = f"{node.name}/ones"
        ones = graph_def.node.add(name=gamma, op="OnesLike", input=[beta])
        ones.attr["T"].CopyFrom(node.attr["T"])
    node.op = "FusedBatchNormV3"
    node.input[:] = [images, gamma, beta, mean, variance, *controls]
    node.attr["U"].CopyFrom(node.attr["T"])
    node.attr["epsilon"].f = node.attr["variance_epsilon"].f
    node.attr["is_training"].b = False
    del node.attr["variance_epsilon"], node.attr["scale_after_normalization"]


def _wrong_weights(path: Path, reason: str) -> UsageError:
    archive, *_ = weight_files.INCEPTION_2015.files
    requirement = f"{archive}, the {GRAPH_FILE} in it, or {weight_files.INCEPTION_2015_PORT[0]}"
    return must_be("weights", requirement, f"{path} ({reason})")

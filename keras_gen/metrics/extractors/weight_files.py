"""Find, download and verify the weights files of extractors."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from keras_gen.utils import progress, safe_files
from keras_gen.utils.errors import DataUnavailableError, UsageError, must_be, one_line
from keras_gen.utils.files import atomic_path, write_json
from keras_gen.utils.net import connection_error

RECORD_FILE = "weights.json"

_STALL_SECONDS = 30.0
"""Time limit of each read of a download: a stalled one ends, a slow one does not."""


@dataclass(frozen=True)
class Source:
    """Source of the weights of an extractor.

    Args:
        name: str, name of the extractor.
        url: str, URL of the published file.
        files: tuple of str, file names to look for; the first is that of the published file.
        megabytes: int, approximate size of the download.
        md5: str, MD5 that the publisher states, or None.
        kept_by_keras: bool, use the folder of keras.applications for look-ups and downloads; default False.
        kept_by_torch: bool, also look in the folder of torch.hub; default False.
    """

    name: str
    url: str
    files: tuple[str, ...]
    megabytes: int
    md5: str | None = None
    kept_by_keras: bool = False
    kept_by_torch: bool = False

    def folders(self) -> list[Path]:
        """Return the folders to look in, in this order. A download goes to the first."""
        folders = [cache_folder()]
        if self.kept_by_keras:
            folders.insert(0, Path(os.path.expanduser(os.environ.get("KERAS_HOME") or "~/.keras"), "models"))
        if self.kept_by_torch:
            home = os.environ.get("TORCH_HOME")
            folders.append(Path(os.path.expanduser(home) if home else _user_cache("torch"), "hub", "checkpoints"))
        return folders

    def instructions(self) -> str:
        """Return one line that tells a user how to get the file."""
        return (
            f"--extractor {self.name} downloads its weights ({self.megabytes} MB); without a network, copy {self.url} "
            f"from another machine and pass its path with --extractor {self.name} --extractor-weights PATH"
        )


INCEPTION_2015_PORT = ("pt_inception-2015-12-05-6726825d.pth", "weights-inception-2015-12-05-6726825d.pth")
"""File names of the weights of `INCEPTION_2015` that were ported to PyTorch: of pytorch-fid, and of torch-fidelity."""

INCEPTION_2015_PORT_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
"""SHA-256 of either file, whose first digits are in the names."""

INCEPTION_2015 = Source(
    name="inception-2015",
    # The bucket behind http://download.tensorflow.org/models/…, over TLS.
    url="https://storage.googleapis.com/download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz",
    files=("inception-2015-12-05.tgz", "classify_image_graph_def.pb", *INCEPTION_2015_PORT),
    megabytes=89,
    kept_by_torch=True,
)
# Copied from keras/src/applications/inception_v3.py, which does not export them.
INCEPTION_V3 = Source(
    name="inception-v3",
    url="https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
    "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
    files=("inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",),
    megabytes=88,
    md5="bcbd6486424b2319ff4ef7d526e38f63",
    kept_by_keras=True,
)


def cache_folder() -> Path:
    """Return the folder for downloads and cached results: `$KERAS_GEN_CACHE`, or else the user's cache folder.

    The latter is `keras_gen` in `$XDG_CACHE_HOME`, by default in `~/.cache`. The folder may not exist yet.
    """
    if named := os.environ.get("KERAS_GEN_CACHE"):
        return Path(os.path.expanduser(named))
    return _user_cache("keras_gen")


def _user_cache(name):
    return Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache"), name)


def find(source: Source) -> Path | None:
    """Return the path of the file on this machine, or None. Its content is not checked."""
    candidates = (folder / file for folder in source.folders() for file in source.files)
    return next((path for path in candidates if path.is_file()), None)


def obtain(source: Source, path: str | os.PathLike | None = None, *, download: bool = False) -> Path:
    """Return the path of the weights file of an extractor.

    Args:
        source: `Source` of the weights.
        path: path of a file to use; the caller checks its content. Defaults to the file on this machine.
        download: bool, download the file if it is missing or does not have the published checksum; default False.

    Raises:
        UsageError: if `path` is not a readable file, or the file on this machine does not have the published checksum.
        DataUnavailableError: if the file is missing, and was not or can't be downloaded.
    """
    if path is not None:
        return _readable(source, Path(path))
    found = find(source)
    if found is not None and (source.md5 is None or digest(found, "md5") == source.md5):
        return found
    if download:
        return _download(source)
    if found is not None:
        raise UsageError(
            f"{found} is damaged: its MD5 is not {source.md5}; delete it, or replace it with --extractor {source.name}"
        )
    folders = " or ".join(map(str, source.folders()))
    raise DataUnavailableError(f"the weights of {source.name} are not in {folders}: {source.instructions()}")


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Return a hash of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def check_unchanged(source: Source, path: Path, sha256: str) -> None:
    """Record the SHA-256 of an extractor's weights at their first use, and compare it with the record later.

    This keeps scores comparable where no publisher states a checksum. Nothing is recorded if the cache folder is not
    writable.

    Raises:
        UsageError: if other weights were recorded, or the record is damaged. The message says how to accept these.
    """
    record = cache_folder() / RECORD_FILE
    try:
        known = safe_files.read_json(record)
    except OSError:
        known = {}
    except UsageError as error:
        raise UsageError(f"{error}; delete it to record the weights again") from error
    expected = known.get(source.name)
    if expected is None:
        with contextlib.suppress(OSError):
            record.parent.mkdir(parents=True, exist_ok=True)
            write_json(record, known | {source.name: sha256})
    elif expected != sha256:
        raise UsageError(
            f"the weights of {source.name} in {path} differ from those first used on this machine: SHA-256 {sha256}, "
            f"expected {expected}; if these are the right ones, delete the entry {source.name} in {record}"
        )


def _readable(source: Source, path: Path) -> Path:
    try:
        safe_files.check_regular_file(path)
        with open(path, "rb"):
            return path
    except OSError as error:
        reason = f"{path} ({error.strerror})"
        raise must_be("weights", f"a file with the weights of {source.name} that can be read", reason) from error


def _download(source: Source) -> Path:
    import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
    import keras

    path, timeout = source.folders()[0] / source.files[0], socket.getdefaulttimeout()
    socket.setdefaulttimeout(_STALL_SECONDS)
    try:
        if reason := connection_error(source.url):
            raise OSError(reason)
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            atomic_path(path) as temporary,
            progress.timer(f"downloading the weights of {source.name} ({source.megabytes} MB)"),
            contextlib.redirect_stdout(io.StringIO()),  # where Keras shows its own progress
        ):
            options = {"cache_dir": path.parent, "cache_subdir": "", "force_download": True}
            keras.utils.get_file(temporary.name, source.url, file_hash=source.md5, **options)
    except Exception as error:  # get_file raises Exception itself
        raise DataUnavailableError(
            f"the weights of {source.name} can't be downloaded to {path.parent} ({one_line(error)}): "
            f"{source.instructions()}"
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
    return path

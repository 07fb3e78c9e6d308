"""Trained models on the Hugging Face hub: addresses such as `hf://user/name`, download and upload.

The transport is that of huggingface_hub, which also has the cache, the token and the settings for a mirror.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from keras_gen.utils.errors import UsageError, must_be, one_line

PREFIX = "hf://"
_ADDRESS = re.compile(r"hf:/{1,2}([\w.-]+/[\w.-]+)")  # a Path has one of the two slashes


def is_address(path: str | os.PathLike) -> bool:
    """Return whether a path is meant as an address on the hub.

    Example:
        >>> is_address("hf://user/vae-mlp"), is_address("saved_models/vae-mlp")
        (True, False)
    """
    return os.fspath(path).startswith("hf:/")


def repository(address: str | os.PathLike) -> str:
    """Return the repository of an address.

    Raises:
        UsageError: `address` has another form.

    Example:
        >>> repository("hf://user/vae-mlp")
        'user/vae-mlp'
    """
    match = _ADDRESS.fullmatch(os.fspath(address))
    if not match:
        raise must_be("address", f"of the form {PREFIX}user/name", os.fspath(address))
    return match[1]


@functools.cache
def download(address: str | os.PathLike) -> Path:
    """Download a repository into the cache of huggingface_hub, and return its folder; once for each process.

    Raises:
        UsageError: `address` has another form, huggingface_hub is not installed, or the download fails.
    """
    name = repository(address)
    with _connection(f"{PREFIX}{name} can't be downloaded") as hub:
        return Path(hub.snapshot_download(name))


def upload(folder: str | os.PathLike, address: str | os.PathLike) -> None:
    """Upload a folder to a repository, which is made if it does not exist.

    Raises:
        UsageError: as in `download`, of the upload.
    """
    name = repository(address)
    with _connection(f"{folder} can't be uploaded to {PREFIX}{name}") as hub:
        api = hub.HfApi()
        api.create_repo(name, exist_ok=True)
        api.upload_folder(folder_path=os.fspath(folder), repo_id=name, commit_message="Trained with keras_gen")


def check_installed() -> None:
    """Check that huggingface_hub is installed, or raise `UsageError`."""
    try:
        import huggingface_hub  # noqa: F401
    except ImportError as error:
        raise UsageError("hf:// addresses need huggingface_hub: pip install huggingface_hub") from error


@contextlib.contextmanager
def _connection(failure: str) -> Iterator[ModuleType]:
    """Provide huggingface_hub; an error in the block is a `UsageError` that begins with `failure`."""
    check_installed()
    import huggingface_hub

    try:
        yield huggingface_hub
    except Exception as error:  # of the network, of the hub, or of a file
        raise UsageError(f"{failure}: {type(error).__name__}: {one_line(error)[:300]}") from error

"""Read the tensors in a file of PyTorch, without PyTorch and without executing anything in it."""

from __future__ import annotations

import collections
import io
import pickle
import struct
from typing import NamedTuple

import numpy as np

MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
"""The bytes that such a file begins with."""

_VERSION = 1001
_DAMAGE = (LookupError, TypeError, AttributeError, EOFError, OverflowError, MemoryError)
_KINDS = {"FloatStorage": "<f4", "LongStorage": "<i8"}


class _Storage(NamedTuple):
    """The values of one or more tensors, which follow the descriptions of all tensors in the file."""

    kind: str
    key: str
    count: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, storages: dict[str, np.ndarray]) -> np.ndarray:
        values, strides = storages[self.storage.key][self.offset :], self.strides
        last = sum((size - 1) * stride for size, stride in zip(self.shape, strides, strict=True))
        if min((self.offset, last, *self.shape, *strides)) < 0 or last >= len(values):
            raise ValueError(f"a tensor of shape {self.shape} is not within its values")
        in_bytes = [stride * values.itemsize for stride in strides]
        return np.lib.stride_tricks.as_strided(values, self.shape, in_bytes, writeable=False).copy()


def _tensor(storage, offset, shape, strides, requires_grad, hooks, *metadata):
    return _Tensor(storage, offset, shape, strides)


class _Unpickler(pickle.Unpickler):
    """An unpickler of a dictionary of tensors: it knows the few names that these need, and refuses all others."""

    _KNOWN = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        **{("torch", kind): kind for kind in _KINDS},
    }

    def find_class(self, module, name):
        if (module, name) not in self._KNOWN:
            raise pickle.UnpicklingError(f"it has a {module}.{name}, which is not a tensor")
        return self._KNOWN[module, name]

    def persistent_load(self, identifier):
        word, kind, key, _, count, view = identifier
        if word != "storage" or kind not in _KINDS or view is not None:
            raise pickle.UnpicklingError(f"it has a {word} of {kind}")
        return _Storage(kind, key, count)


def read_tensors(content: bytes) -> dict[str, np.ndarray]:
    """Return the tensors of a dictionary of tensors, such as a `state_dict`, by name, as arrays.

    The format is that of `torch.save` before PyTorch 1.6: a magic number, a version and sizes of types, the dictionary,
    in which tensors refer to their values by keys, the list of keys, then for each its count (int64) and its values;
    all but the values are pickles.

    Args:
        content: bytes of the file.

    Raises:
        ValueError: the content is of another format or damaged, or has anything else than float32 or int64 tensors.
    """
    file = io.BytesIO(content)
    try:
        magic, version, machine, tensors, keys = (_Unpickler(file).load() for _ in range(5))
        if (magic, version) != (pickle.loads(MAGIC), _VERSION) or not machine["little_endian"]:
            raise ValueError("it is in another format")
        declared = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
        storages = {}
        for key in keys:
            (count,) = struct.unpack("<q", file.read(8))
            dtype = np.dtype(_KINDS[declared[key].kind])
            values = file.read(count * dtype.itemsize)
            if count != declared[key].count or len(values) != count * dtype.itemsize:
                raise ValueError("its values do not match its tensors")
            storages[key] = np.frombuffer(values, dtype)
        return {name: tensor.array(storages) for name, tensor in tensors.items()}
    except (*_DAMAGE, pickle.UnpicklingError, struct.error) as error:
        raise ValueError(f"it is damaged or not such a file: {error}") from error

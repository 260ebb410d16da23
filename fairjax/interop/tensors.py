"""Named tensors from .safetensors, .npz and .pth files; of a .pth only tensors are ever built."""

import math
import pickle
import types
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fairjax.core.files import naming, read_arrays, require_bounded

Tensors = dict[str, np.ndarray]

_STORAGES = {  # torch's storage classes by what a number takes there
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
_WRAPPERS = ("model", "state_dict", "module", "teacher")  # where checkpoints keep their weights
# Put before every name by DataParallel, compile and trainers; and by what a trainer keeps beside it
_PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.", "net.", "encoder.")
_BESIDE = ("head.", "classifier.")
FILES = (".safetensors", ".npz", ".pth", ".pt", ".bin", ".ckpt")


def read_tensors(path: Path) -> Tensors:
    """Every tensor of a file by its name; bfloat16 becomes float32.

    Args:
      path: .safetensors, .npz, or .pth/.pt/.bin/.ckpt as `torch.save` has written since version
        1.6. Of a checkpoint with more in it the weights are taken, from "model", "state_dict",
        "module" or "teacher".

    Raises:
      ValueError: If the file is of another form, is damaged, or asks for code to be run.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.numpy import load_file

            return load_file(path)
        if path.suffix == ".npz":
            return read_arrays(path)
        if path.suffix in FILES:
            return _read_torch(path)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file.") from None
    except (ValueError, pickle.UnpicklingError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ValueError(f"{path}: {reason}") from error
    except Exception as error:  # a damaged file may raise anything at all
        raise ValueError(f"{path}: damaged ({type(error).__name__}: {error}).") from error
    raise ValueError(f"{path}: weights come as .safetensors, .npz or .pth.")


def leaves(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """The arrays of a tree of modules by their paths, "block_0/qkv/kernel"."""
    flat = []
    for key, value in tree.items():
        here = prefix + key
        flat += leaves(value, f"{here}/") if isinstance(value, Mapping) else [(here, value)]
    return flat


def unwrapped(tensors: Tensors) -> Tensors:
    """The tensors without the prefixes that wrappers put before every name but a head's."""
    while hit := next((p for p in _PREFIXES if _all_begin(tensors, p)), ""):
        tensors = {name.removeprefix(hit): tensor for name, tensor in tensors.items()}
    return tensors


def _all_begin(tensors: Tensors, prefix: str) -> bool:
    network = [name for name in tensors if not name.startswith(_BESIDE)]
    return bool(network) and all(name.startswith(prefix) for name in network)


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes .safetensors or .npz, whole or not at all.

    Raises:
      ValueError: If the file's ending is another.
    """
    if path.suffix not in (".safetensors", ".npz"):
        raise ValueError(f"{path}: weights are written as .safetensors or .npz.")
    partial = path.with_name(f"{path.stem}.partial{path.suffix}")
    whole = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    with naming(path):
        if path.suffix == ".safetensors":
            from safetensors.numpy import save_file

            save_file(whole, partial)
        else:
            np.savez(partial, allow_pickle=False, **whole)
    partial.replace(path)


def _read_torch(path: Path) -> Tensors:
    if not zipfile.is_zipfile(path):
        raise ValueError(
            "not a file of torch.save since version 1.6; load it there once and save it again, "
            "best as .safetensors."
        )
    with zipfile.ZipFile(path) as archive:
        size = path.stat().st_size
        require_bounded(sum(member.file_size for member in archive.infolist()), size)
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError("no data.pkl in it; it is no file of torch.save.")
        folder = names[0].removesuffix("data.pkl")
        with archive.open(names[0]) as file:
            tree = _Unpickler(file, archive, folder, size).load()
    for key in _WRAPPERS:
        if isinstance(tree, Mapping) and isinstance(tree.get(key), Mapping):
            tree = tree[key]
            break
    if not isinstance(tree, Mapping):
        raise ValueError(f"holds a {type(tree).__name__} and no named tensors.")
    return {str(name): value for name, value in tree.items() if isinstance(value, np.ndarray)}


class _Unpickler(pickle.Unpickler):
    """Builds dicts, numbers and arrays; refuses every other name that a pickle asks for."""

    def __init__(self, file: Any, archive: zipfile.ZipFile, folder: str, size: int) -> None:
        super().__init__(file, encoding="utf-8")
        self._archive, self._folder, self._size = archive, folder, size
        self._storages: dict[str, np.ndarray] = {}
        self._built = 0  # bytes of tensors

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("argparse", "Namespace"):  # MAE's checkpoints hold their arguments
            return types.SimpleNamespace
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._rebuild
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        raise pickle.UnpicklingError(
            f"it asks for {module}.{name}, which is no tensor and could run code; it is refused. "
            "Save the weights alone, best as .safetensors."
        )

    def persistent_load(self, pid: Any) -> np.ndarray:
        kind, dtype, key, _, size = pid
        if kind != "storage" or not isinstance(key, str) or not key.isdecimal():
            raise pickle.UnpicklingError(f"it refers to {pid!r}, which is no storage.")
        if key in self._storages:
            return self._storages[key]
        content = self._archive.read(f"{self._folder}data/{key}")
        if dtype == "bfloat16":  # the upper half of a float32
            numbers = (np.frombuffer(content, "<u2").astype("<u4") << 16).view("<f4")
        else:
            numbers = np.frombuffer(content, dtype)
        if len(numbers) != size:
            raise pickle.UnpicklingError(f"storage {key} has {len(numbers)} of {size} numbers.")
        self._storages[key] = numbers
        return numbers

    def _rebuild(self, storage: np.ndarray, offset: int, size: Any, stride: Any, *_: Any) -> Any:
        self._built += math.prod(size) * storage.itemsize
        require_bounded(self._built, self._size)  # strides of 0 repeat a number without end
        return _rebuild(storage, offset, size, stride)


def _rebuild(
    storage: np.ndarray, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> np.ndarray:
    """A tensor: strides over part of a storage, copied so that it owns what it shows."""
    reach = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1
    if min((*size, *stride, offset, 0)) < 0 or (0 not in size and reach > len(storage)):
        raise pickle.UnpicklingError("a tensor reaches outside its storage.")
    if 0 in size:
        return np.zeros(size, storage.dtype)
    steps = tuple(step * storage.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps).copy()

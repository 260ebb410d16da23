"""Pickles read without running what is in them: only plain values and numpy arrays come out."""

import io
import pickle
from typing import Any

from fairjax.data.dataset import DataError

# What pickles of bytes and of numpy's arrays ask for; the names of older versions are brought to
# these. Nothing else is ever looked up, so a pickle can neither import nor call it.
_ALLOWED = {
    ("_codecs", "encode"),
    ("builtins", "bytearray"),
    ("builtins", "bytes"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
}


def unpickle(content: bytes, *, name: str) -> Any:
    """What a pickle of plain values and numpy arrays holds; strings of Python 2 become bytes.

    Args:
      content: The pickle.
      name: The file's, for messages.

    Raises:
      DataError: If it asks for anything else, or is damaged.
    """
    try:
        return _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except pickle.UnpicklingError as error:
        raise DataError(f"{name}: {error}") from None
    except Exception as error:  # a damaged pickle may raise anything at all
        raise DataError(
            f"{name}: no whole pickle ({type(error).__name__}: {error}); copy it again."
        ) from error


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        place = module.replace("numpy.core", "numpy._core").replace("__builtin__", "builtins")
        if (place, name) not in _ALLOWED:
            raise pickle.UnpicklingError(
                f"this pickle asks for {module}.{name}, which could run code; it is refused."
            )
        return super().find_class(place, name)

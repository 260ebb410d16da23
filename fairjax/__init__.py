"""FairJAX: train fair face models in JAX and audit any face model.

- `fairjax.audit(table)`: how do errors differ between groups, and how sure is that?
- `fairjax.load(path)`: a run or an .onnx file as a model that embeds and predicts.

Importing this package loads nothing else; what is used is imported when it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairjax.audit.api import audit as audit
    from fairjax.serve.load import load as load

__version__ = "0.2.0"
__all__ = ["audit", "load"]


def __getattr__(name: str) -> Any:
    if name == "audit":  # a package that can be called
        return importlib.import_module("fairjax.audit")
    if name == "load":
        return importlib.import_module("fairjax.serve").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

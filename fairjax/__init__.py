"""FairJAX: train fair face models in JAX and audit any face model.

- `fairjax.audit(table)`: how do errors differ between groups, and how sure is that?

Importing this package loads nothing else; what is used is imported when it is used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairjax.audit.api import audit as audit

__version__ = "0.2.0"
__all__ = ["audit"]

_MODULES = {"audit": "fairjax.audit"}  # names that are themselves modules


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(_MODULES[name])


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])

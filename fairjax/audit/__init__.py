"""Audits of any face model: from somebody's files to numbers, tables and a report.

The package can be called: `fairjax.audit(table)` is `fairjax.audit.api.audit(table)`.
"""

import sys
from types import ModuleType
from typing import Any

from fairjax.audit.api import audit


class _CallablePackage(ModuleType):
    """This package, which is a function as well: the shortest name that a notebook can type."""

    __call__ = staticmethod(audit)

    @property
    def __signature__(self) -> Any:  # `inspect` would drop the first argument of a static method
        import inspect

        return inspect.signature(audit)


sys.modules[__name__].__class__ = _CallablePackage

"""An evaluation as a page, as tables of text, as CSV files and as part of a model card."""

import importlib
from typing import TYPE_CHECKING, Any

from fairjax.report.csv_tables import write_csv as write_csv
from fairjax.report.model_card import model_card as model_card

if TYPE_CHECKING:
    from fairjax.report.page import write_report as write_report
    from fairjax.report.terminal import print_summary as print_summary
    from fairjax.report.terminal import print_tables as print_tables

# Imported when they are asked for: tables should not wait for Matplotlib and Rich.
_LATE = {"write_report": "page", "print_summary": "terminal", "print_tables": "terminal"}


def __getattr__(name: str) -> Any:
    """What is slow to import, where it is asked for."""
    if name in _LATE:
        return getattr(importlib.import_module(f"fairjax.report.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

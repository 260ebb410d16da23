"""An evaluation as a page, as tables of text, as CSV files and as part of a model card."""

from typing import TYPE_CHECKING, Any

from fairjax.report.csv_tables import write_csv as write_csv
from fairjax.report.model_card import model_card as model_card
from fairjax.report.terminal import print_summary as print_summary
from fairjax.report.terminal import print_tables as print_tables

if TYPE_CHECKING:
    from fairjax.report.page import write_report as write_report


def __getattr__(name: str) -> Any:
    """Imports the page when it is asked for: tables should not wait for matplotlib."""
    if name == "write_report":
        from fairjax.report.page import write_report

        return write_report
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

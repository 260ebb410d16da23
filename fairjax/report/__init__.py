"""An evaluation as a page and as tables of text."""

from fairjax.report.page import write_report as write_report
from fairjax.report.terminal import print_tables as print_tables

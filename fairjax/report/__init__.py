"""An evaluation as a page, as tables of text, as CSV files and as part of a model card."""

from fairjax.report.csv_tables import write_csv as write_csv
from fairjax.report.model_card import model_card as model_card
from fairjax.report.page import write_report as write_report
from fairjax.report.terminal import print_summary as print_summary
from fairjax.report.terminal import print_tables as print_tables

"""The page made of a finished bulk run: one file that needs no network; knows outcomes only."""

from spotdx_async.report.charts import check_available
from spotdx_async.report.page import render
from spotdx_async.report.run_stats import RunStory, Setting
from spotdx_async.report.writing import check_path, write_report

__all__ = ["RunStory", "Setting", "check_available", "check_path", "render", "write_report"]

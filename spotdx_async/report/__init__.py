"""The page about a finished bulk run: one small file that needs no network; knows outcomes only."""

from spotdx_async._lazy import names_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from spotdx_async.report.page import check_path, render, write_report
    from spotdx_async.report.run_stats import Creates, RunStory, Setting

__all__ = ["Creates", "RunStory", "Setting", "check_path", "render", "write_report"]

if not TYPE_CHECKING:
    __getattr__ = names_from(
        __name__,
        {"report.page": "check_path render write_report", "report.run_stats": "Creates RunStory Setting"},
    )

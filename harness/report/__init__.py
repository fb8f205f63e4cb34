"""Reports of a finished bench: `summary.md` and `index.html`, made from the files of its folder."""

from harness.report.page import Results, read_results, write_report

__all__ = ["Results", "read_results", "write_report"]

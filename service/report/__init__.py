"""Results of match and batch -> one self-contained page for a search coordinator."""

from service.report.content import report_content
from service.report.page import page
from service.report.reading import Results, read_results

__all__ = ["Results", "page", "read_results", "report_content"]

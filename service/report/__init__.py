"""Results of match and batch -> one self-contained page for a search coordinator."""

from service.report.content import report_content
from service.report.page import report_page
from service.report.reading import Results, read_results

__all__ = ["Results", "read_results", "report_content", "report_page"]
